"""Many clients at once, each answer checked: what was lost or wrong, how fast, and the server's memory.

``python -m benchmarks.load URL CLIENTS SECONDS SEED`` is one process of clients; it prints what it found.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import HERE, answers, free_port, resident, table
from mlops_kit.local import clients

CLIENTS, SECONDS, _PROCESSES = 100, 60.0, 4
_ROLE = "arn:aws:iam::000000000000:role/any"
_ADD = {"n.$": "States.MathAdd($.n, 1)"}
_PATIENCE = 60.0  # seconds in which an execution must end


@dataclass
class Found:
    """What clients saw.

    Attributes
    ----------
    requests : mapping
        Answered requests by operation.
    seconds : list of float
        How long each took.
    wrong : list of str
        Answers that are not what they must be.
    sent, received : list of int
        Numbers of messages.
    added : int
        What all added to the one shared counter.
    """

    requests: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    added: int = 0


class Crowd:
    """Clients in threads of this process.

    Parameters
    ----------
    url : str
        The server, prepared by `prepare`.
    seed : int
        Makes the same choices again.
    """

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._seed = seed
        self._over = 0.0
        self._lock = threading.Lock()
        self._place = _place(url)
        self.found = Found()

    def run(self, count: int, seconds: float) -> Found:
        """Let ``count`` clients at once work for some seconds."""
        self._over = time.monotonic() + seconds
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(self._client, range(count)))
        return self.found

    def _client(self, number: int) -> None:
        chance, name = random.Random(f"{self._seed}/{number}"), f"{self._seed}-{number}"
        works: list[Callable[[random.Random, str], None]] = [
            self._execution, self._object, self._item, self._counter, self._message,
        ]  # fmt: skip
        while time.monotonic() < self._over:
            try:
                chance.choice(works)(chance, name)
            except Exception as error:  # whatever it is, it is no answer
                self._note(f"{type(error).__name__}: {error}")

    def _note(self, words: str) -> None:
        with self._lock:
            self.found.wrong.append(words)

    def _check(self, right: bool, words: str) -> None:
        if not right:
            self._note(words)

    def _call(self, service: str, operation: str, **params: Any) -> Any:
        call = getattr(clients.client(self._url, "us-east-1", service), operation)
        begin = time.perf_counter()
        answer = call(**params)
        with self._lock:
            self.found.seconds.append(time.perf_counter() - begin)
            self.found.requests[operation] += 1
        return answer

    # ---------------------------------------------------------------- works
    def _execution(self, chance: random.Random, name: str) -> None:
        """It ends as it must, and its history is whole."""
        number = chance.randrange(10**6)
        begun = self._call(
            "stepfunctions", "start_execution", stateMachineArn=self._place["machine"],
            input=json.dumps({"n": number}), name=uuid.uuid4().hex,
        )["executionArn"]  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while True:
            shown = self._call("stepfunctions", "describe_execution", executionArn=begun)
            if shown["status"] != "RUNNING" or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        self._check(shown.get("output") == f'{{"n":{number + 3}}}', f"{begun} gave {shown}")
        events = self._call("stepfunctions", "get_execution_history", executionArn=begun)["events"]
        whole = [event["id"] for event in events] == list(range(1, 9))
        self._check(whole and events[-1]["type"] == "ExecutionSucceeded", f"{begun} has {events}")

    def _object(self, chance: random.Random, name: str) -> None:
        """What was put is what one gets."""
        body, key = chance.randbytes(chance.choice((10, 1_000, 100_000))), f"{name}/{chance.randrange(20)}"
        self._call("s3", "put_object", Bucket="load", Key=key, Body=body)
        got = self._call("s3", "get_object", Bucket="load", Key=key)["Body"].read()
        self._check(got == body, f"object {key} has other bytes")

    def _item(self, chance: random.Random, name: str) -> None:
        """A client's own item is as it was written last."""
        item = {"id": {"S": f"{name}/{chance.randrange(20)}"}, "value": {"S": uuid.uuid4().hex}}
        self._call("dynamodb", "put_item", TableName="load", Item=item)
        got = self._call(
            "dynamodb", "get_item", TableName="load", Key={"id": item["id"]}, ConsistentRead=True
        )
        self._check(got.get("Item") == item, f"{item} is {got.get('Item')}")

    def _counter(self, chance: random.Random, name: str) -> None:
        """All add to one item; see `settle`."""
        self._call(
            "dynamodb", "update_item", TableName="load", Key={"id": {"S": "all"}},
            UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}},
        )  # fmt: skip
        with self._lock:
            self.found.added += 1

    def _message(self, chance: random.Random, name: str) -> None:
        """What is sent comes, to whomever; see `settle`."""
        number, queue = uuid.uuid4().hex, self._place["queue"]
        self._call("sqs", "send_message", QueueUrl=queue, MessageBody=number)
        got = self._call("sqs", "receive_message", QueueUrl=queue, MaxNumberOfMessages=2)
        messages = got.get("Messages", [])
        for message in messages:
            self._call("sqs", "delete_message", QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        with self._lock:
            self.found.sent.append(number)
            self.found.received += [message["Body"] for message in messages]


def prepare(url: str) -> None:
    """Make what the clients use."""
    sfn, dynamodb, s3, sqs = (
        clients.client(url, "us-east-1", name) for name in ("stepfunctions", "dynamodb", "s3", "sqs")
    )
    states: dict[str, Any] = {
        name: {"Type": "Pass", "Parameters": _ADD, "Next": after} for name, after in ("AB", "BC")
    }
    states["C"] = {"Type": "Pass", "Parameters": _ADD, "End": True}
    definition = json.dumps({"StartAt": "A", "States": states})
    sfn.create_state_machine(name="load", definition=definition, roleArn=_ROLE)
    dynamodb.create_table(
        TableName="load",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    s3.create_bucket(Bucket="load")
    sqs.create_queue(QueueName="load", Attributes={"VisibilityTimeout": "600"})


def _place(url: str) -> dict[str, str]:
    sqs = clients.client(url, "us-east-1", "sqs")
    machine = "arn:aws:states:us-east-1:000000000000:stateMachine:load"
    return {"machine": machine, "queue": sqs.get_queue_url(QueueName="load")["QueueUrl"]}


def settle(url: str, founds: list[Found]) -> list[str]:
    """What is lost or doubled after all clients have ended."""
    sqs, queue = clients.client(url, "us-east-1", "sqs"), _place(url)["queue"]
    received = [number for found in founds for number in found.received]
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        received += [message["Body"] for message in messages]
    sent = [number for found in founds for number in found.sent]
    wrong = [words for found in founds for words in found.wrong]
    if sorted(received) != sorted(sent):
        wrong.append(
            f"{len(sent)} messages were sent, {len(received)} received, {len(set(received))} different"
        )
    key = {"id": {"S": "all"}}
    item = clients.client(url, "us-east-1", "dynamodb").get_item(TableName="load", Key=key).get("Item", {})
    added = sum(found.added for found in founds)
    if int(item.get("n", {"N": "0"})["N"]) != added:
        wrong.append(f"{added} was added in all, and the item is {item}")
    return wrong


def main() -> str:
    """A table of one minute with a hundred clients."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        argv = [str(HERE / "python"), "-m", "mlops_kit.local.server", "--port", str(port)]
        server = subprocess.Popen([*argv, "--state-dir", str(Path(folder) / "state")], stdout=subprocess.PIPE)
        try:
            while not answers(url):
                time.sleep(0.05)
            return _measure(url, server.pid)
        finally:
            server.terminate()
            server.wait(30)
            clients.forget(url)


def _measure(url: str, pid: int) -> str:
    prepare(url)
    before, memory = resident(pid), []
    share = [url, str(CLIENTS // _PROCESSES), str(SECONDS)]
    command = [str(HERE / "python"), "-m", "benchmarks.load", *share]
    crowds = [
        subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(_PROCESSES)
    ]
    readers = ThreadPoolExecutor(_PROCESSES)
    outputs = [readers.submit(crowd.communicate) for crowd in crowds]
    while not all(output.done() for output in outputs):
        memory.append(resident(pid))
        time.sleep(0.5)
    founds = [Found(**json.loads(output.result()[0])) for output in outputs]
    wrong = settle(url, founds)
    for words in wrong[:10]:
        print(words, file=sys.stderr)
    spent = sorted(second for found in founds for second in found.seconds)
    rows = [
        ("answers", len(spent)),
        ("answers a second", len(spent) / SECONDS),
        ("wrong, refused or lost", len(wrong)),
        ("median [ms]", spent[len(spent) // 2] * 1000),
        ("99th of 100 [ms]", spent[math.ceil(len(spent) * 0.99) - 1] * 1000),
        ("server's memory before, half-way, at the end [MB]",
         f"{before:.0f}, {memory[len(memory) // 2]:.0f}, {memory[-1]:.0f}"),
    ]  # fmt: skip
    return table(f"{CLIENTS} clients at once for {SECONDS:.0f} s", ("what", "embedded AWS"), rows)


if __name__ == "__main__":
    crowd = Crowd(sys.argv[1], int(sys.argv[4]))
    print(json.dumps(vars(crowd.run(int(sys.argv[2]), float(sys.argv[3])))))
