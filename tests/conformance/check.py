#!/usr/bin/env python3
"""Run recorded Amazon States Language cases against an AWS-compatible endpoint.

Stand-alone: Python >= 3.11 and boto3 only.  See README.md next to this file.
Exit status: 0 every chosen case passed, 1 some did not (or the endpoint does
not answer), 2 wrong usage.
"""
import argparse
import base64
import collections
import gzip
import io
import json
import os
import random
import re
import string
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

try:
    import boto3
    import botocore.exceptions as bexc
    from botocore import xform_name
    from botocore.config import Config
except ImportError:
    sys.exit("check.py needs boto3 (pip install boto3)")

LEVELS = ("result", "history", "full")

# What each function a case asks for does.  Handlers are index.handler, Python.
LAMBDAS = {
    # gives its event back unchanged
    "identity": "def handler(event, context):\n    return event\n",
    # gives a fixed object
    "hello": 'def handler(event, context):\n    return dict(Return="HelloWorld")\n',
    # raises the builtin Exception with a fixed text
    "raise_exception": 'def handler(event, context):\n    raise Exception("Some exception was raised.")\n',
    # raises an exception of its own class whose str() is empty
    "raise_custom_exception": (
        "class CustomException(Exception):\n    pass\n\n"
        "def handler(event, context):\n    raise CustomException()\n"),
    # answers with more text than a state may pass on (257 KiB of ASCII)
    "large_output": 'def handler(event, context):\n    return "a" * (257 * 1024)\n',
    # answers with a text that holds a JSON string, quotes and all
    "quoted_hello": "def handler(event, context):\n    return '\"HelloWorld!\"'\n",
    # answers with a text made of its event
    "decorate_input": 'def handler(event, context):\n    return "input-event-" + str(event)\n',
    # sleeps longer than any timeout of the cases, then gives its event back
    "sleep_60": "import time\n\ndef handler(event, context):\n    time.sleep(60)\n    return event\n",
}

# Keys left out of every comparison below level "full".
NOISE = {"SdkHttpMetadata", "SdkResponseMetadata", "stackTrace", "inputDetails", "outputDetails",
         "roleArn", "ResponseMetadata"}
TERMINAL = {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"}


class Setup(Exception):
    """The case could not be brought to its start."""


def rnd(n=8):
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=n))


def as_json(text):
    try:
        return True, json.loads(text)
    except (TypeError, ValueError):
        return False, None


# ----------------------------------------------------------------- comparison
class Matcher:
    """Compares a recorded value with an answer.

    Recorded texts hold wildcard tokens: `<anything>` and the case's "sub"
    tokens stand for any text inside a text, its "whole" tokens for any value.
    """

    GENERIC = r"<[A-Za-z0-9_.:+ -]+>|\b111111111111\b"

    def __init__(self, wildcards, full=False):
        self.whole = set(wildcards.get("whole", ()))
        subs = sorted(wildcards.get("sub", ()), key=len, reverse=True)
        parts = []
        for s in subs:
            e = re.escape(s)
            if s[:1].isalnum():
                e = r"(?<![A-Za-z0-9])" + e
            if s[-1:].isalnum():
                e += r"(?![A-Za-z0-9])"
            parts.append(e)
        self.token = re.compile("|".join(parts + [self.GENERIC]))
        self.noise = set() if full else NOISE
        self.cache = {}

    def is_wild(self, text):
        return text in self.whole or self.token.fullmatch(text) is not None

    def regex(self, text):
        r = self.cache.get(text)
        if r is None:
            out, at = [], 0
            for m in self.token.finditer(text):
                out += [re.escape(text[at:m.start()]), ".*"]
                at = m.end()
            out.append(re.escape(text[at:]))
            r = self.cache[text] = re.compile("".join(out), re.S)
        return r

    def diff(self, exp, act, path="$"):
        """None when `act` fits `exp`, else a line saying where it does not."""
        if isinstance(exp, str):
            if exp in self.whole or (act is not None and self.is_wild(exp)):
                return None
            if isinstance(act, str):
                if exp == act or self.regex(exp).fullmatch(act):
                    return None
                ok1, a = as_json(exp)
                ok2, b = as_json(act)
                if ok1 and ok2 and isinstance(a, (dict, list)):
                    return self.diff(a, b, path)
            return self._say(exp, act, path)
        if isinstance(exp, (dict, list)) and isinstance(act, str):
            ok, v = as_json(act)
            if ok and isinstance(v, type(exp)):
                return self.diff(exp, v, path)
            return self._say(exp, act, path)
        if isinstance(exp, dict):
            if not isinstance(act, dict):
                return self._say(exp, act, path)
            left = {k for k in act if k not in self.noise}
            for k in exp:
                if k in self.noise:
                    continue
                key = k if k in left else next((q for q in left if self.regex(k).fullmatch(q)), None)
                if key is None:
                    return f"{path}: no {k!r}"
                left.discard(key)
                d = self._list_any(exp[k], act[key], f"{path}.{k}") if k == "variableReferences" \
                    else self.diff(exp[k], act[key], f"{path}.{k}")
                if d:
                    return d
            return f"{path}: unexpected {sorted(left)[0]!r}" if left else None
        if isinstance(exp, list):
            if not isinstance(act, list):
                return self._say(exp, act, path)
            if len(exp) != len(act):
                return f"{path}: {len(act)} items, expected {len(exp)}"
            for i, (e, a) in enumerate(zip(exp, act)):
                d = self.diff(e, a, f"{path}[{i}]")
                if d:
                    return d
            return None
        if isinstance(exp, bool) or isinstance(act, bool) or exp is None:
            return None if exp is act or (type(exp) is type(act) and exp == act) else self._say(exp, act, path)
        if isinstance(exp, (int, float)) and isinstance(act, (int, float)):
            return None if exp == act else self._say(exp, act, path)
        return self._say(exp, act, path)

    def _list_any(self, exp, act, path):
        key = lambda v: json.dumps(v, sort_keys=True, default=str)
        def norm(v):
            if isinstance(v, dict):
                return {k: norm(x) for k, x in v.items()}
            return sorted((norm(x) for x in v), key=key) if isinstance(v, list) else v
        return self.diff(norm(exp), norm(act), path)

    @staticmethod
    def _say(exp, act, path):
        short = lambda v: (json.dumps(v, default=str, ensure_ascii=False))[:160]
        return f"{path}: got {short(act)}, expected {short(exp)}"

    def events(self, exp, act, ordered):
        full = not self.noise
        def view(e):
            v = {"type": e.get("type")}
            for k, x in e.items():
                if k.endswith("EventDetails"):
                    # absent details and empty details are the same answer
                    if full or x:
                        v[k] = x
            if full and ordered:
                v["id"], v["previousEventId"] = e.get("id"), e.get("previousEventId")
            return v
        exp, act = [view(e) for e in exp], [view(e) for e in act]
        te, ta = [e["type"] for e in exp], [a["type"] for a in act]
        if ordered:
            if te != ta:
                i = next((i for i, (x, y) in enumerate(zip(te, ta)) if x != y), min(len(te), len(ta)))
                g = lambda t: t[i] if i < len(t) else "nothing"
                return f"event {i + 1}: got {g(ta)}, expected {g(te)} ({len(ta)} events, expected {len(te)})"
            for i, (e, a) in enumerate(zip(exp, act)):
                d = self.diff(e, a, f"event {i + 1} {e['type']}")
                if d:
                    return d
            return None
        ce, ca = collections.Counter(te), collections.Counter(ta)
        if ce != ca:
            return f"events differ: too many {dict(ca - ce)}, missing {dict(ce - ca)}"
        return self.bag(exp, act)

    def bag(self, exp, act):
        """A one-to-one pairing of recorded and answered events, in any order."""
        fits = [[j for j, a in enumerate(act) if a["type"] == e["type"] and not self.diff(e, a)] for e in exp]
        mate = {}
        def place(i, seen):
            for j in fits[i]:
                if j not in seen:
                    seen.add(j)
                    if j not in mate or place(mate[j], seen):
                        mate[j] = i
                        return True
            return False
        for i, e in enumerate(exp):
            if not place(i, set()):
                near = [a for a in act if a["type"] == e["type"]]
                return f"no event fits {e['type']}: " + (self.diff(e, near[0]) or "all taken")
        return None


# ------------------------------------------------------------------- endpoint
class Endpoint:
    def __init__(self, url, region, timeout):
        self.url, self.region, self.timeout = url, region, timeout
        self.session = boto3.session.Session(
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
            aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY", "test"),
            aws_session_token=os.environ.get("AWS_SESSION_TOKEN"), region_name=region)
        self.clients, self.lock, self.lambdas = {}, threading.Lock(), {}
        self.role = self.account = None

    def client(self, service):
        with self.lock:
            if service not in self.clients:
                extra = {"s3": {"addressing_style": "path"}} if service == "s3" else {}
                self.clients[service] = self.session.client(
                    service, endpoint_url=self.url,
                    config=Config(inject_host_prefix=False, parameter_validation=False, connect_timeout=5,
                                  read_timeout=max(65, self.timeout + 10), retries={"total_max_attempts": 1},
                                  max_pool_connections=64, **extra))
            return self.clients[service]

    def prepare(self):
        """Raises bexc.BotoCoreError when nothing answers; finds account and role."""
        probe = self.session.client("stepfunctions", endpoint_url=self.url,
                                    config=Config(connect_timeout=5, read_timeout=15,
                                                  retries={"total_max_attempts": 2}))
        try:
            probe.list_state_machines(maxResults=1)
        except bexc.ClientError:
            pass
        try:
            self.account = self.client("sts").get_caller_identity()["Account"]
        except Exception:
            self.account = "000000000000"
        trust = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole",
             "Principal": {"Service": ["states.amazonaws.com", "lambda.amazonaws.com"]}}]}
        name = "asl-conformance-" + rnd()
        try:
            iam = self.client("iam")
            self.role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
            iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}))
            self.role_name = name
        except Exception:
            self.role = self.role or f"arn:aws:iam::{self.account}:role/{name}"
            self.role_name = None

    def function(self, behaviour):
        """One function for each behaviour, made once for a run."""
        with self.lock:
            slot = self.lambdas.setdefault(behaviour, {"lock": threading.Lock(), "arn": None, "error": None})
        with slot["lock"]:
            if slot["error"]:
                raise Setup(slot["error"])
            if not slot["arn"]:
                name = f"aslconf-{behaviour.replace('_', '-')}-{rnd(6)}"
                try:
                    buf = io.BytesIO()
                    with zipfile.ZipFile(buf, "w") as z:
                        z.writestr("index.py", LAMBDAS[behaviour])
                    lam = self.client("lambda")
                    arn = lam.create_function(FunctionName=name, Runtime="python3.12", Handler="index.handler",
                                              Role=self.role, Timeout=90, Code={"ZipFile": buf.getvalue()})["FunctionArn"]
                    end = time.time() + 30
                    while time.time() < end:
                        state = lam.get_function_configuration(FunctionName=name).get("State", "Active")
                        if state != "Pending":
                            break
                        time.sleep(0.2)
                    slot["name"], slot["arn"] = name, arn
                except Exception as e:
                    slot["error"] = f"lambda function: {e}"
                    raise Setup(slot["error"]) from None
            return slot["name"], slot["arn"]

    def close(self):
        for slot in self.lambdas.values():
            if slot.get("arn"):
                quiet(self.client("lambda").delete_function, FunctionName=slot["name"])
        if getattr(self, "role_name", None):
            quiet(self.client("iam").delete_role_policy, RoleName=self.role_name, PolicyName="all")
            quiet(self.client("iam").delete_role, RoleName=self.role_name)


def quiet(fn, **kw):
    try:
        return fn(**kw)
    except Exception:
        return None


def plain(v):
    """Botocore's answer as plain JSON values."""
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, (bytes, bytearray)):
        return v.decode("utf-8", "replace")
    if v is None or isinstance(v, (str, int, float, bool)):
        return v
    return str(v)


def error_of(e):
    r = getattr(e, "response", {}) or {}
    out = {"error": {k: v for k, v in r.get("Error", {}).items() if k in ("Code", "Message")},
           "http_status": r.get("ResponseMetadata", {}).get("HTTPStatusCode"), "fields": {}}
    for k, v in r.items():
        if k not in ("Error", "ResponseMetadata"):
            out["fields"][k] = plain(v)
    return out


# ------------------------------------------------------------------- one case
class Case:
    REF = re.compile(r"\$\{([A-Z][A-Za-z0-9_.@]*)\}")

    def __init__(self, row, ep, timeout):
        self.row, self.ep, self.timeout = row, ep, timeout
        self.values, self.answers, self.undo = {}, {}, []
        self.sfn = ep.client("stepfunctions")
        self.stop = threading.Event()
        self.threads, self.helper_error = [], None
        self.res = {"id": row["id"], "category": row["category"], "kind": row["kind"]}

    # -- tokens
    def value(self, name):
        if name in self.values:
            return self.values[name]
        if name.startswith("UID"):
            return self.values.setdefault(name, rnd())
        if name in ("ROLE_ARN", "ACCOUNT_ID", "REGION"):
            return {"ROLE_ARN": self.ep.role, "ACCOUNT_ID": self.ep.account, "REGION": self.ep.region}[name]
        m = re.fullmatch(r"R(\d+)\.(.+)", name)
        if m and int(m[1]) in self.answers:
            if m[2] == "@mapRunArn":
                for e in self.answers[int(m[1])].get("events", []):
                    if "mapRunStartedEventDetails" in e:
                        return e["mapRunStartedEventDetails"]["mapRunArn"]
                raise Setup("no map run in the history")
            v = self.answers[int(m[1])]
            for p in m[2].split("."):
                try:
                    v = v[int(p)] if isinstance(v, list) else v[p]
                except (KeyError, IndexError, TypeError):
                    raise Setup(f"the answer of call {m[1]} has no {m[2]}") from None
            return v
        return None

    def fill(self, v):
        if isinstance(v, str):
            m = self.REF.fullmatch(v)
            if m:
                x = self.value(m[1])
                return v if x is None else x
            def sub(m):
                x = self.value(m[1])
                return m[0] if x is None else str(x)
            return self.REF.sub(sub, v)
        if isinstance(v, dict):
            if set(v) == {"$base64"}:
                return base64.b64decode(v["$base64"])
            return {self.fill(k): self.fill(x) for k, x in v.items()}
        if isinstance(v, list):
            return [self.fill(x) for x in v]
        return v

    # -- resources
    def make(self, r):
        kind, tok, ep = r["kind"], r["token"], self.ep
        put = lambda part, v: self.values.__setitem__(f"{tok}_{part}", v)
        try:
            if kind == "lambda":
                name, arn = ep.function(r["behaviour"])
                put("NAME", name), put("ARN", arn)
                return
            name = f"aslconf-{kind.replace('_', '-')}-{rnd()}"
            if kind == "queue":
                sqs, attrs = ep.client("sqs"), self.fill(r.get("attributes", {}))
                if attrs.get("Attributes", {}).get("FifoQueue") == "true":
                    name += ".fifo"
                url = sqs.create_queue(QueueName=name, **{k: v for k, v in attrs.items() if k != "QueueName"})["QueueUrl"]
                arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
                put("NAME", name), put("URL", url), put("ARN", arn)
                self.undo.append((sqs.delete_queue, {"QueueUrl": url}))
                if r.get("events_rule"):
                    self.rule(name, arn, url, r["events_rule"])
            elif kind == "table":
                ddb, pk = ep.client("dynamodb"), r.get("partition_key", "id")
                ddb.create_table(TableName=name, KeySchema=[{"AttributeName": pk, "KeyType": "HASH"}],
                                 AttributeDefinitions=[{"AttributeName": pk, "AttributeType": "S"}],
                                 BillingMode="PAY_PER_REQUEST")
                end = time.time() + 20
                while ddb.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE" and time.time() < end:
                    time.sleep(0.2)
                put("NAME", name)
                self.undo.append((ddb.delete_table, {"TableName": name}))
            elif kind == "topic":
                sns, attrs = ep.client("sns"), self.fill(r.get("attributes", {}))
                if attrs.get("Attributes", {}).get("FifoTopic") == "true":
                    name += ".fifo"
                arn = sns.create_topic(Name=name, **{k: v for k, v in attrs.items() if k != "Name"})["TopicArn"]
                put("NAME", name), put("ARN", arn)
                self.undo.append((sns.delete_topic, {"TopicArn": arn}))
            elif kind == "bucket":
                s3 = ep.client("s3")
                s3.create_bucket(Bucket=name, **({} if ep.region == "us-east-1" else
                                                 {"CreateBucketConfiguration": {"LocationConstraint": ep.region}}))
                put("NAME", name)
                self.undo.append((self.drop_bucket, {"name": name}))
            elif kind == "log_group":
                logs, name = ep.client("logs"), f"/aws/vendedlogs/states/aslconf-{rnd()}"
                logs.create_log_group(logGroupName=name)
                put("NAME", name)
                put("ARN", f"arn:aws:logs:{ep.region}:{ep.account}:log-group:{name}:*")
                self.undo.append((logs.delete_log_group, {"logGroupName": name}))
            else:
                raise Setup(f"unknown resource kind {kind}")
        except (bexc.ClientError, bexc.BotoCoreError) as e:
            raise Setup(f"{kind}: {e}") from None

    def rule(self, name, arn, url, pattern):
        ev = self.ep.client("events")
        rule = ev.put_rule(Name=name, EventPattern=json.dumps(self.fill(pattern)))["RuleArn"]
        quiet(self.ep.client("sqs").set_queue_attributes, QueueUrl=url, Attributes={"Policy": json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn,
             "Principal": {"Service": "events.amazonaws.com"}, "Condition": {"ArnEquals": {"aws:SourceArn": rule}}}]})})
        ev.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
        self.undo.append((ev.remove_targets, {"Rule": name, "Ids": ["q"]}))
        self.undo.append((ev.delete_rule, {"Name": name}))

    def drop_bucket(self, name):
        s3 = self.ep.client("s3")
        for o in s3.list_objects_v2(Bucket=name).get("Contents", []):
            s3.delete_object(Bucket=name, Key=o["Key"])
        s3.delete_bucket(Bucket=name)

    # -- calls
    def call(self, c):
        service, op, args = c["service"], c["op"], self.fill(c["args"])
        cl = self.ep.client(service)
        shape = cl.meta.service_model.operation_model(
            next(o for o in cl.meta.service_model.operation_names if xform_name(o) == op)).input_shape
        lacking = [k for k in args if shape is None or k not in shape.members]
        if lacking:
            raise Setup(f"this boto3 does not know {op}({lacking[0]}): take a newer one")
        a = plain(getattr(cl, op)(**args))
        self.answers[c["i"]] = a
        if op == "create_state_machine":
            self.undo.append((self.sfn.delete_state_machine, {"stateMachineArn": a.get("stateMachineArn")}))
        elif op == "create_activity":
            self.undo.append((self.sfn.delete_activity, {"activityArn": a.get("activityArn")}))
        return a

    def definition(self):
        if "definition_raw" in self.row:
            return self.fill(self.row["definition_raw"])
        return json.dumps(self.fill(self.row["definition"])) if "definition" in self.row else None

    def exec_input(self):
        if "input_raw" in self.row:
            return {"input": self.fill(self.row["input_raw"])}
        return {"input": json.dumps(self.fill(self.row["input"]))} if "input" in self.row else {}

    def begin(self):
        for r in self.row.get("resources", []):
            self.make(r)
        for c in self.row.get("setup", []):
            try:
                self.call(c)
            except (bexc.ClientError, bexc.BotoCoreError) as e:
                raise Setup(f"{c['service']}.{c['op']}: {e}") from None
        for h in self.row.get("helpers", []):
            t = threading.Thread(target=self.helper, args=(self.fill(h),), daemon=True)
            t.start()
            self.threads.append(t)

    def helper(self, h):
        """Plays the outside worker a case needs, until the case is over."""
        try:
            self.activity(h) if h["type"] == "activity_worker" else self.consumer(h)
        except Exception as e:  # reported with the case
            self.helper_error = f"{type(e).__name__}: {e}"

    def answer(self, action, token, output, error, cause):
        if action == "failure":
            why = {k: v for k, v in (("error", error), ("cause", cause)) if v is not None}
            self.sfn.send_task_failure(taskToken=token, **why)
        else:
            self.sfn.send_task_success(taskToken=token, output=output)

    def consumer(self, h):
        sqs = self.ep.client("sqs")
        while not self.stop.is_set():
            got = sqs.receive_message(QueueUrl=h["queue_url"], WaitTimeSeconds=0).get("Messages", [])
            for m in got:
                text = m["Body"]
                ok, body = as_json(text)
                if ok and isinstance(body, dict) and isinstance(body.get("Message"), str) and "TopicArn" in body:
                    text = body["Message"]  # came through a topic
                    ok, body = as_json(text)
                if not (ok and isinstance(body, dict) and "TaskToken" in body):
                    continue
                if h["action"].startswith("heartbeat"):
                    for _ in range(h.get("heartbeats", 1)):
                        self.stop.wait(h.get("delay", 5))
                        self.sfn.send_task_heartbeat(taskToken=body["TaskToken"])
                out = h.get("output", json.dumps(body.get("Message")))
                self.answer(h["action"], body["TaskToken"], text if out == "@body" else out,
                            h.get("error", "Failure error"), h.get("cause", "Failure cause"))
                quiet(sqs.delete_message, QueueUrl=h["queue_url"], ReceiptHandle=m["ReceiptHandle"])
            self.stop.wait(0.3)

    def activity(self, h):
        kw = {"workerName": h["worker_name"]} if h.get("worker_name") else {}
        while not self.stop.is_set():
            got = self.sfn.get_activity_task(activityArn=h["activity_arn"], **kw)
            token, text = got.get("taskToken"), got.get("input")
            if token:
                if h["action"] == "take_only":
                    return
                if h["action"].startswith("heartbeat"):
                    self.stop.wait(2)
                    self.sfn.send_task_heartbeat(taskToken=token)
                    self.stop.wait(2)
                self.answer(h["action"], token, text, "Programmatic Error", text)
            self.stop.wait(0.3)

    # -- kinds
    def machine(self, **extra):
        a = plain(self.sfn.create_state_machine(
            name="aslconf-" + rnd(12), definition=self.definition(), roleArn=self.ep.role,
            type=self.row.get("type", "STANDARD"), **extra))
        arn = a["stateMachineArn"]
        self.undo.append((self.sfn.delete_state_machine, {"stateMachineArn": arn}))
        return arn

    def wait(self, arn):
        end, pause = time.time() + self.timeout, 0.05
        while True:
            d = plain(self.sfn.describe_execution(executionArn=arn))
            if d.get("status") in TERMINAL:
                return d
            if time.time() > end:
                quiet(self.sfn.stop_execution, executionArn=arn)
                raise TimeoutError(f"still {d.get('status')} after {self.timeout:g} s")
            time.sleep(pause)
            pause = min(0.4, pause * 1.4)

    def history(self, arn):
        events, token = [], {}
        while True:
            h = plain(self.sfn.get_execution_history(executionArn=arn, maxResults=1000, **token,
                                                      **self.row.get("history_args", {})))
            events += h.get("events", [])
            if not h.get("nextToken"):
                return events
            token = {"nextToken": h["nextToken"]}

    def result_diff(self, exp, got):
        m = self.m
        if got.get("status") != exp["status"]:
            why = " ".join(str(got.get(k)) for k in ("error", "cause") if got.get(k))
            return f"status {got.get('status')}, expected {exp['status']}" + (f": {why[:240]}" if why else "")
        if "output" in exp:
            if got.get("output") is None:
                return "no output"
            ok, v = as_json(got["output"])
            d = m.diff(exp["output"], v if ok else got["output"], "output")
            if d:
                return d
        if exp.get("error") is None:
            return f"unexpected error {got['error']!r}" if got.get("error") else None
        return m.diff(exp["error"], got.get("error"), "error")

    def cause_diff(self, m, exp, got):
        if exp.get("cause") is None:
            return "cause: unexpected" if got.get("cause") else None
        return m.diff(exp["cause"], got.get("cause"), "cause")

    def run_execution(self):
        exp = self.row["expect"]
        try:
            sm = self.machine()
        except bexc.ClientError as e:
            return self.fail_all(f"CreateStateMachine refused: {error_text(e)}")
        try:
            arn = self.sfn.start_execution(stateMachineArn=sm, **self.exec_input())["executionArn"]
        except bexc.ClientError as e:
            return self.fail_all(f"StartExecution refused: {error_text(e)}")
        self.values["EXECUTION_ARN"] = arn
        for c in self.row.get("during", []):
            time.sleep(0.3)
            self.call(c)
        d = self.wait(arn)
        self.res["result"] = self.result_diff(exp, d)
        if "output" not in exp and d.get("output") is not None:
            self.res["full"] = "DescribeExecution gives an output for an execution that has none"
        if "events" in exp:
            try:
                ev = self.history(arn)
                ordered, drop = self.row.get("ordered", True), set(self.row.get("ignore_events", ()))
                want = [e for e in exp["events"] if e["type"] not in drop]
                ev = [e for e in ev if e.get("type") not in drop]
                self.res["history"] = self.m.events(want, ev, ordered)
                self.res["full"] = self.res.get("full") or self.mf.events(want, ev, ordered)
            except (bexc.ClientError, bexc.BotoCoreError) as e:
                self.res["history"] = self.res["full"] = f"GetExecutionHistory: {e}"

    def run_sync_execution(self):
        exp = self.row["expect"]
        try:
            sm = self.machine()
            got = plain(self.sfn.start_sync_execution(stateMachineArn=sm, **self.exec_input()))
        except bexc.ClientError as e:
            return self.fail_all("refused: " + error_text(e))
        self.res["result"] = self.result_diff(exp, got)
        self.res["history"] = self.cause_diff(self.m, exp, got)
        self.res["full"] = self.cause_diff(self.mf, exp, got)

    def run_express_logs(self):
        exp, r = self.row["expect"], {"kind": "log_group", "token": "CASE_LOGS"}
        self.make(r)
        logs, group = self.ep.client("logs"), self.values["CASE_LOGS_NAME"]
        try:
            sm = self.machine(loggingConfiguration={
                "level": "ALL", "includeExecutionData": True,
                "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": self.values["CASE_LOGS_ARN"]}}]})
            self.sfn.start_execution(stateMachineArn=sm, **self.exec_input())
        except bexc.ClientError as e:
            return self.fail_all("refused: " + error_text(e))
        end = time.time() + self.timeout
        types = {"ExecutionSucceeded": "SUCCEEDED", "ExecutionFailed": "FAILED", "ExecutionTimedOut": "TIMED_OUT"}
        while time.time() < end:
            for e in quiet(logs.filter_log_events, logGroupName=group) and logs.filter_log_events(
                    logGroupName=group).get("events", []) or []:
                ok, v = as_json(e["message"])
                if ok and isinstance(v, dict) and v.get("type") in types:
                    got = {"status": types[v["type"]], **{k: x for k, x in v.get("details", {}).items()
                                                           if k in ("output", "error", "cause")}}
                    self.res["result"] = self.result_diff(exp, got)
                    self.res["history"] = self.cause_diff(self.m, exp, got)
                    self.res["full"] = self.cause_diff(self.mf, exp, got)
                    return
            time.sleep(0.3)
        self.fail_all("no terminal event in the log group")

    def answer_diffs(self, exp, got, head):
        """`exp` holds either a response or an error; `got` likewise."""
        if "error" in exp:
            if "error" not in got:
                return self.fail_all(f"accepted, expected {exp['error'].get('Code')}")
            d = self.m.diff(exp["error"].get("Code"), got["error"].get("Code"), "error code")
            self.res["result"] = d and d + f" ({str(got['error'].get('Message'))[:120]})"
            self.res["history"] = self.m.diff(exp["error"].get("Message"), got["error"].get("Message"), "message")
            self.res["full"] = self.res["history"] or (
                exp.get("http_status") and exp["http_status"] != got.get("http_status")
                and f"HTTP {got.get('http_status')}, expected {exp['http_status']}") or None
            return
        if "error" in got:
            return self.fail_all(f"refused: {got['error']}")
        e, a = exp["response"], got["response"]
        pick = lambda v: {k: v[k] for k in head if k in v}
        self.res["result"] = self.m.diff(pick(e), pick(a), "answer")
        self.res["history"] = self.m.diff(e, a, "answer")
        self.res["full"] = self.mf.diff(e, a, "answer")

    def one_call(self, op, head):
        args = self.fill(self.row.get("args", {}))
        d = self.definition()
        if d is not None:
            args["definition"] = d
        try:
            a = self.call({"i": -1, "service": "stepfunctions", "op": op, "args": args})
            a.pop("ResponseMetadata", None)
            got = {"response": a}
        except bexc.ClientError as e:
            got = error_of(e)
        self.answer_diffs(self.row["expect"], got, head)

    def run_create_error(self):
        self.one_call("create_state_machine", ())

    def run_validate(self):
        self.one_call("validate_state_machine_definition", ("result",))

    def run_test_state(self):
        self.one_call("test_state", ("status", "output", "error", "nextState"))

    def run_script(self):
        first = {"result": None, "history": None, "full": None}
        def note(level, text):
            for lv in LEVELS[LEVELS.index(level):]:
                first[lv] = first[lv] or text
        for s in self.row["steps"]:
            if "wait" in s:
                if s["wait"] == "terminated":
                    arn = self.fill(s["execution_arn"])
                    try:
                        self.wait(arn)
                    except bexc.ClientError:
                        time.sleep(0.5)
                elif s["wait"] == "started":
                    time.sleep(0.3)
                else:
                    time.sleep(0.2)
                continue
            at = f"call {s['i']} {s['op']}"
            try:
                a = self.call(s)
                a.pop("ResponseMetadata", None)
                got = {"response": a}
            except bexc.ClientError as e:
                got = error_of(e)
            if bool(s.get("raises")) != ("error" in got):
                note("result", f"{at}: " + (f"refused: {got['error']}" if "error" in got else "accepted, expected an error"))
                break
            for e in s.get("expect", []):
                if "error" in e:
                    d = self.m.diff(e["error"].get("Code"), got["error"].get("Code"), f"{at}: error code")
                    if d:
                        note("result", d)
                    d = self.m.diff(e["error"].get("Message"), got["error"].get("Message"), f"{at}: message")
                    if d:
                        note("history", d)
                elif "response" in got:
                    v = dict(e["value"]) if isinstance(e["value"], dict) else e["value"]
                    r = dict(got["response"])
                    if "events" in v and "events" in r:
                        d = self.m.events(v["events"], r["events"], False)
                        if d:
                            note("history", f"{at}: {d}")
                        continue
                    for lv, m in (("history", self.m), ("full", self.mf)):
                        d = m.diff(v, r, at)
                        if d:
                            note(lv, d)
        self.res.update(first)

    def fail_all(self, text):
        self.res["result"] = self.res["history"] = self.res["full"] = text

    def run(self):
        began = time.time()
        w = self.row.get("wildcards", {})
        self.m, self.mf = Matcher(w), Matcher(w, full=True)
        try:
            self.begin()
            getattr(self, "run_" + self.row["kind"])()
        except Setup as e:
            self.res["setup"] = True
            self.fail_all(f"setup: {e}")
        except TimeoutError as e:
            self.fail_all(str(e))
        except (bexc.ClientError, bexc.BotoCoreError) as e:
            self.fail_all(f"{type(e).__name__}: {e}")
        except Exception as e:
            self.res["runner_error"] = True
            self.fail_all(f"runner: {type(e).__name__}: {e}")
        finally:
            self.stop.set()
            for fn, kw in reversed(self.undo):
                quiet(fn, **kw)
        if self.helper_error and self.res.get("result"):
            self.res["helper"] = self.helper_error
        # a level holds only when the ones below it hold
        why = None
        for lv in LEVELS:
            if lv == "result" or lv in self.res or why:
                why = why or self.res.get(lv)
            self.res[lv] = why
        self.res["seconds"] = round(time.time() - began, 2)
        return self.res


def error_text(e):
    r = e.response.get("Error", {})
    return f"{r.get('Code')}: {str(r.get('Message'))[:240]}"


# ------------------------------------------------------------------------ main
def load(path):
    rows = []
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except ValueError as e:
                    raise SystemExit2(f"{path}, line {n}: not JSON: {e}")
    return rows


class SystemExit2(Exception):
    pass


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    p = argparse.ArgumentParser(prog="check.py", description="Run recorded Step Functions cases against an endpoint.")
    p.add_argument("--endpoint-url", help="the AWS-compatible endpoint, for example http://127.0.0.1:4566")
    p.add_argument("--cases", action="append", help="a cases.jsonl or cases.jsonl.gz (repeatable; default: the one next to check.py)")
    p.add_argument("--category", action="append", help="only this category (repeatable)")
    p.add_argument("--id", action="append", help="only this case (repeatable)")
    p.add_argument("--kind", action="append", help="only this kind of case (repeatable)")
    p.add_argument("--without", action="append", default=[], metavar="SERVICE",
                   help="leave out cases that need this service, e.g. lambda (repeatable)")
    p.add_argument("--level", choices=LEVELS, default="history", help="what a case must meet to pass (default history)")
    p.add_argument("--json", metavar="OUT", help="write every case's answer as JSON")
    p.add_argument("--jobs", type=int, default=4, help="cases at a time (default 4)")
    p.add_argument("--timeout", type=float, default=30.0, help="seconds for each execution (default 30)")
    p.add_argument("--region", default=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1")
    p.add_argument("--list", action="store_true", help="list the chosen cases and stop")
    p.add_argument("--verbose", action="store_true", help="say why each failing case failed")
    a = p.parse_args()
    if a.jobs < 1 or a.timeout <= 0:
        p.error("--jobs and --timeout must be positive")
    try:
        rows = [r for c in (a.cases or [os.path.join(here, "cases.jsonl.gz")]) for r in load(c)]
    except (OSError, SystemExit2) as e:
        p.error(str(e))
    known = {"category": {r["category"] for r in rows}, "id": {r["id"] for r in rows}, "kind": {r["kind"] for r in rows}}
    for what in known:
        for v in getattr(a, what) or []:
            if v not in known[what]:
                p.error(f"no case has {what} {v!r}" + (f"; there are: {', '.join(sorted(known[what]))}" if what != "id" else ""))
        if getattr(a, what):
            rows = [r for r in rows if r[what] in getattr(a, what)]
    left_out = [r for r in rows if set(r.get("needs", [])) & set(a.without)]
    rows = [r for r in rows if r not in left_out] if left_out else rows
    if not rows:
        p.error("no case chosen")
    if a.list:
        for r in rows:
            print(f"{r['category']:<20} {r['kind']:<15} {r['id']}")
        return 0
    if not a.endpoint_url:
        p.error("--endpoint-url is needed")
    if not re.match(r"https?://", a.endpoint_url):
        p.error(f"not an http(s) URL: {a.endpoint_url}")
    ep = Endpoint(a.endpoint_url, a.region, a.timeout)
    try:
        ep.prepare()
    except bexc.BotoCoreError as e:
        print(f"check.py: {a.endpoint_url} does not answer: {e}", file=sys.stderr)
        return 1
    began, results = time.time(), []
    # scripts that list what an account holds run alone, after the others
    lists = {"list_state_machines", "list_activities"}
    alone = [r for r in rows if any(s.get("op") in lists for s in r.get("steps", []))]
    rest = [r for r in rows if not any(r is x for x in alone)]
    random.Random(7).shuffle(rest)
    with ThreadPoolExecutor(a.jobs) as pool:
        for n, r in enumerate(pool.map(lambda row: Case(row, ep, a.timeout).run(), rest), 1):
            results.append(r)
            if sys.stderr.isatty():
                print(f"\r{n}/{len(rest)}", end="", file=sys.stderr)
    results += [Case(r, ep, a.timeout).run() for r in alone]
    ep.close()
    results.sort(key=lambda r: (r["category"], r["id"]))
    cats = collections.OrderedDict()
    for r in results:
        c = cats.setdefault(r["category"], {"total": 0, **{lv: 0 for lv in LEVELS}})
        c["total"] += 1
        for lv in LEVELS:
            c[lv] += r[lv] is None
    total = {k: sum(c[k] for c in cats.values()) for k in ("total",) + LEVELS}
    pc = lambda x, t: f"{x}/{t} ({100 * x / t:.1f}%)"
    print(f"{'category':<20} {'result':>18} {'history':>18} {'full':>18}")
    for name, c in list(cats.items()) + [("TOTAL", total)]:
        print(f"{name:<20} " + " ".join(f"{pc(c[lv], c['total']):>18}" for lv in LEVELS))
    failing = [r for r in results if r[a.level] is not None]
    if failing:
        print(f"\nfailing at level {a.level}: {len(failing)}")
        for r in failing:
            print("  " + r["id"] + (f"\n      {r[a.level]}" + (f" [helper: {r['helper']}]" if r.get("helper") else "")
                                    if a.verbose else ""))
    if left_out:
        print(f"\nleft out (--without {' '.join(a.without)}): {len(left_out)}")
    print(f"\n{pc(total[a.level], total['total'])} of the chosen cases pass at level {a.level} "
          f"in {time.time() - began:.0f} s")
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump({"endpoint": a.endpoint_url, "level": a.level, "total": total, "categories": cats,
                       "left_out": len(left_out), "cases": results}, f, indent=1)
    return 0 if not failing else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
