"""Load for the kill test: threads that use the embedded AWS, and write down what it acknowledged and when."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.local import kill_machines, kill_stack
from tests.local.stepfunctions import walk

GRACE = 2.0  # seconds in which ministack's services may lose what they acknowledged


Span = tuple[float, float]  # ``time.time()`` before something and after it


@dataclass
class Facts:
    """What was acknowledged, each with when its request was made and when its answer had come.

    Attributes
    ----------
    executions : dict
        Name of the machine of each execution by ARN.
    histories : dict
        The longest history read of each execution.
    ends : dict
        What DescribeExecution said of those that had ended.
    items : dict
        Versions of each item by id in order (None: its removal), with when each was put (None: nobody knows).
    sent, removed, wanted : dict
        Messages by number: when sent, when deleted, and those whose deletion was asked for.
    kills : list
        Before the server, or one that was starting, was killed, and when it was dead.
    """

    executions: dict[str, str] = field(default_factory=dict)
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, list[tuple[int | None, Span | None]]] = field(default_factory=dict)
    objects: dict[str, Span] = field(default_factory=dict)
    sent: dict[int, Span] = field(default_factory=dict)
    removed: dict[int, Span] = field(default_factory=dict)
    wanted: set[int] = field(default_factory=set)
    kills: list[Span] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def safe(self, span: Span) -> bool:
        """Whether what was acknowledged then must have lived through every kill.

        An answer that is read when the server is dead already may have come from it.
        """
        asked, told = span
        return all(dead < asked or told < before - GRACE for before, dead in self.kills)


class Load:
    """Threads that go on through kills and restarts until `end`.

    A further kind of work is one more method among the works: it writes down in `Facts` what was acknowledged
    and when, and the test checks that against the server after the last start.
    """

    def __init__(self, aws: Any, seed: str) -> None:
        self.aws = aws
        self.seed = seed
        self.facts = Facts()
        self.table, self.effects = walk.table(aws), walk.table(aws)
        self.queue, self.callbacks = _queue(aws), _queue(aws)
        self.bucket = f"bucket-{random.randrange(10**9)}"
        aws.client("s3").create_bucket(Bucket=self.bucket)
        self.machines = kill_machines.create(aws, self.effects, self.callbacks)
        self.stack = kill_stack.Changes(aws)
        self._over, self._paused = threading.Event(), threading.Event()
        works: list[Callable[[random.Random], None]] = [
            self._start, self._read, self._put, self._send, self._receive, self._answer,
            self._change,
        ]  # fmt: skip
        self._threads = [
            threading.Thread(
                name=work.__name__, target=self._run, args=(work, random.Random(f"{seed}/{number}"))
            )
            for number, work in enumerate(works)
        ]
        self._count = 0

    def begin(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Bring them to rest, but for those who answer what executions wait for."""
        self._paused.set()
        for thread in self._threads:
            if thread.name != self._answer.__name__:
                thread.join()

    def close(self) -> None:
        """End them all."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, work: Callable[[random.Random], None], chance: random.Random) -> None:
        while not self._over.is_set():
            if self._paused.is_set() and work != self._answer:
                return
            try:
                work(chance)
            except ClientError as error:
                self.facts.wrong.append(f"{work.__name__}: {error}")
            except (BotoCoreError, OSError):
                time.sleep(0.05)  # it was killed: whether this call counted nobody knows

    # ------------------------------------------------------------------ workers
    def _start(self, chance: random.Random) -> None:
        kind = chance.choice(list(self.machines))
        self._count += 1
        name = f"{kind}-{chance.randrange(10**9)}-{self._count}"
        value = {"n": 0, "items": [{"n": n} for n in range(4)], "seconds": chance.randrange(3)}
        arn = walk.start(self.aws, self.machines[kind], value, name=name)
        self.facts.executions[arn] = kind
        time.sleep(chance.random() * 0.3)

    def _read(self, chance: random.Random) -> None:
        known = list(self.facts.executions)
        if not known:
            return
        arn = chance.choice(known[-40:])
        shown = self.aws.client("stepfunctions").describe_execution(executionArn=arn)
        events = walk.events(self.aws, arn)
        if len(events) > len(self.facts.histories.get(arn, [])):
            self.facts.histories[arn] = events
        if shown["status"] != "RUNNING":
            self.facts.ends[arn] = _bare(shown)
        time.sleep(0.02)

    def _put(self, chance: random.Random) -> None:
        key, client = str(chance.randrange(60)), self.aws.client("dynamodb")
        versions = self.facts.items.setdefault(key, [])
        number = None if chance.random() < 0.2 else len(versions)
        versions.append((number, None))
        begin = time.time()
        if number is None:
            client.delete_item(TableName=self.table, Key={"id": {"S": key}})
        else:
            item = {"id": {"S": key}, "version": {"N": str(number)}}
            client.put_item(TableName=self.table, Item=item)
        versions[-1] = (number, (begin, time.time()))
        name, begin = f"object-{chance.randrange(10**9)}", time.time()
        self.aws.client("s3").put_object(Bucket=self.bucket, Key=name, Body=name.encode())
        self.facts.objects[name] = (begin, time.time())
        time.sleep(0.02)

    def _send(self, chance: random.Random) -> None:
        self._count += 1
        number, begin = self._count, time.time()
        self.aws.client("sqs").send_message(QueueUrl=self.queue, MessageBody=str(number))
        self.facts.sent[number] = (begin, time.time())
        time.sleep(chance.random() * 0.05)

    def _receive(self, chance: random.Random) -> None:
        """Take messages and delete every other one; the rest stay in flight and come back."""
        sqs = self.aws.client("sqs")
        answer = sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=5, VisibilityTimeout=3)
        for message in answer.get("Messages", []):
            number = int(message["Body"])
            if number % 2:
                self.facts.wanted.add(number)
                begin = time.time()
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                self.facts.removed[number] = (begin, time.time())
        time.sleep(0.1)

    def _answer(self, chance: random.Random) -> None:
        """Answer task tokens; the message goes only when the answer has been taken."""
        sqs = self.aws.client("sqs")
        answer = sqs.receive_message(QueueUrl=self.callbacks, WaitTimeSeconds=1, VisibilityTimeout=2)
        for message in answer.get("Messages", []):
            token = json.loads(message["Body"])["token"]
            try:
                self.aws.client("stepfunctions").send_task_success(taskToken=token, output='{"n": 0}')
            except ClientError as error:
                if error.response["Error"]["Code"] != "TaskTimedOut":  # answered before
                    raise
            sqs.delete_message(QueueUrl=self.callbacks, ReceiptHandle=message["ReceiptHandle"])

    def _change(self, chance: random.Random) -> None:
        self.stack.step()
        time.sleep(chance.random() * 0.3)


def _queue(aws: Any) -> str:
    url = walk.queue(aws)
    aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "3"})
    return url


def _bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}
