"""Describe, list and history of executions and Map Runs; changes nothing but a Map Run's settings."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from mlops_kit.local.service import AwsError, Encoded, Handler, Request
from mlops_kit.local.stepfunctions import history, ledger, names, paging
from mlops_kit.local.stepfunctions.engine import Engine
from mlops_kit.local.stepfunctions.machine_calls import described, moment
from mlops_kit.local.stepfunctions.machines import Machines, missing
from mlops_kit.local.stepfunctions.starts import redrive_refusal, unknown


class Views:
    """The operations that read executions."""

    def __init__(self, engine: Engine, machines: Machines) -> None:
        self._engine = engine
        self._machines = machines
        self.operations: dict[str, Handler] = {
            "DescribeExecution": self.describe,
            "DescribeStateMachineForExecution": self.machine,
            "ListExecutions": self.list,
            "GetExecutionHistory": self.history,
            "DescribeMapRun": self.map_run,
            "ListMapRuns": self.map_runs,
            "UpdateMapRun": self.update_map_run,
        }

    def _row(self, arn: str) -> ledger.Row:
        parsed = names.parse(arn, "execution", "express")
        if parsed.kind == "express":
            raise AwsError("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'")
        row = self._known(arn) or self._engine.book.find(arn)
        if row is None:
            raise unknown(arn)
        return row

    def _known(self, arn: str) -> ledger.Row | None:
        """One that is on disk: each that anybody was told of; what an event started comes a moment later."""
        return self._engine.book.find(arn, pending=False)

    # -------------------------------------------------------------- executions
    async def describe(self, request: Request) -> dict[str, Any]:
        """DescribeExecution; on the server's loop, as it reads one row."""
        arn = request.params["executionArn"]
        row = self._known(arn)
        if row is None:
            row = await asyncio.to_thread(self._row, arn)
        with_data = request.params.get("includedData", "ALL_DATA") == "ALL_DATA"
        answer: dict[str, Any] = {
            "executionArn": row.arn,
            "stateMachineArn": row.machine,
            "name": row.name,
            "status": row.status,
            "startDate": moment(row.started),
            "stopDate": moment(row.stopped) if row.stopped else None,
            "input": row.input if with_data else None,
            "inputDetails": {"included": with_data},
            "mapRunArn": row.map_run,
            "error": row.error if with_data else None,
            "cause": row.cause if with_data else None,
            "stateMachineVersionArn": row.extra.get("stateMachineVersionArn"),
            "stateMachineAliasArn": row.extra.get("stateMachineAliasArn"),
            "traceHeader": row.extra.get("traceHeader"),
            "redriveCount": row.redrives,
            "redriveDate": moment(row.redriven) if row.redriven else None,
        }
        if row.output is not None:
            answer |= {"output": row.output if with_data else None, "outputDetails": {"included": with_data}}
        reason = redrive_refusal(row, self._engine.now())
        if row.map_run and reason is None:
            answer |= {"redriveStatus": "REDRIVABLE_BY_MAP_RUN"}
        else:
            answer |= {
                "redriveStatus": "NOT_REDRIVABLE" if reason else "REDRIVABLE",
                "redriveStatusReason": reason,
            }
        return answer

    def machine(self, request: Request) -> dict[str, Any]:
        """DescribeStateMachineForExecution: the revision that the execution runs."""
        row = self._row(request.params["executionArn"])
        revision = self._machines.revision(row.revision)
        return {
            "stateMachineArn": row.machine.split("/")[0],
            "name": names.machine_name(row.machine).split("/")[0],
            "updateDate": moment(revision.created),
            "mapRunArn": row.map_run,
            "label": row.extra.get("label"),
            **described(revision),
        }

    def list(self, request: Request) -> dict[str, Any]:
        """ListExecutions of a machine, version, alias or Map Run, newest first."""
        params = request.params
        if ("stateMachineArn" in params) == ("mapRunArn" in params):
            raise AwsError("ValidationException", "Must specify exactly one of stateMachineArn or mapRunArn")
        where = self._where(params)
        if "statusFilter" in params:
            where["status"] = params["statusFilter"]
        redriven = params.get("redriveFilter")
        place = paging.position(params)
        most = paging.limit(params)
        before = (place[0], place[1]) if place else None
        rows = self._engine.book.search(where, before, most + 1)
        token = paging.token(rows[most - 1].started, rows[most - 1].id) if len(rows) > most else None
        shown = [
            row for row in rows[:most] if redriven is None or bool(row.redrives) == (redriven == "REDRIVEN")
        ]
        return {"executions": [_listed(row) for row in shown], "nextToken": token}

    def _where(self, params: dict[str, Any]) -> dict[str, Any]:
        if "mapRunArn" in params:
            return {"map_run": names.parse(params["mapRunArn"], "mapRun").text}
        arn = names.parse(params["stateMachineArn"], "stateMachine").text
        machine = self._machines.find(arn)
        if machine is not None:
            if machine.type == "EXPRESS":
                words = "This operation is not supported by this type of state machine"
                raise AwsError("StateMachineTypeNotSupported", words)
            return {"machine": arn, "map_run": None}
        if self._machines.version(arn) is None and self._machines.alias(arn) is None:
            raise missing(arn)
        return {"machine": arn.rpartition(":")[0], "qualifier": arn}

    def history(self, request: Request) -> Encoded:
        """GetExecutionHistory, forwards or backwards."""
        params = request.params
        row = self._row(params["executionArn"])
        most, last = paging.limit(params), self._engine.book.last_event(row.id)
        backwards = params.get("reverseOrder", False)
        with_data = params.get("includeExecutionData", True)
        place = paging.position(params)
        if backwards:
            end = int(place[0]) if place else last
            first = max(1, end - most + 1)
            token = paging.token(first - 1) if first > 1 else None
        else:
            first = int(place[0]) if place else 1
            end = first + most - 1
            token = paging.token(first + most) if end < last else None
        events = self._engine.book.history(row.id, first, end)
        text = history.shown(events[::-1] if backwards else events, with_data)
        tail = f',"nextToken":{json.dumps(token)}' if token else ""
        return Encoded(f'{{"events":[{text}]{tail}}}'.encode())

    # ---------------------------------------------------------------- map runs
    def _run(self, arn: str) -> dict[str, Any]:
        body = self._engine.book.map_run(names.parse(arn, "mapRun").text)
        if body is None:
            raise AwsError("ResourceNotFound", f"Map Run Does Not Exist: '{arn}'")
        return body

    def map_run(self, request: Request) -> dict[str, Any]:
        """DescribeMapRun."""
        arn = request.params["mapRunArn"]
        body = self._run(arn)
        counts = self._counts(arn, body)
        return {
            "mapRunArn": arn,
            "executionArn": body["execution"],
            "status": body["status"],
            "startDate": moment(body["began"]),
            "stopDate": moment(body["ended"]) if body["ended"] else None,
            "maxConcurrency": body["limit"],
            "toleratedFailurePercentage": body["share"],
            "toleratedFailureCount": body["count"],
            "itemCounts": counts,
            "executionCounts": counts,
            "redriveCount": body["redrives"],
            "redriveDate": moment(body["redriven"]) if body.get("redriven") else None,
        }

    def _counts(self, arn: str, body: dict[str, Any]) -> dict[str, int]:
        found: dict[str, int] = {}
        if body.get("express") is not None:
            for status in body["express"].values():
                found[status] = found.get(status, 0) + 1
        else:
            found = self._engine.book.count(arn)
        total = body["total"]
        ended = body["status"] != "RUNNING"
        succeeded = found.get("SUCCEEDED", 0)
        return {
            "pending": 0 if ended else max(0, total - sum(found.values())),
            "running": found.get("RUNNING", 0),
            "succeeded": succeeded,
            "failed": found.get("FAILED", 0),
            "timedOut": found.get("TIMED_OUT", 0),
            "aborted": found.get("ABORTED", 0),
            "total": total,
            "resultsWritten": succeeded if body["status"] == "SUCCEEDED" else 0,
            "failuresNotRedrivable": 0,
            "pendingRedrive": 0,
        }

    def map_runs(self, request: Request) -> dict[str, Any]:
        """ListMapRuns of an execution, newest first."""
        row = self._row(request.params["executionArn"])
        entries = [
            {
                "executionArn": row.arn,
                "mapRunArn": arn,
                "stateMachineArn": row.machine,
                "startDate": moment(body["began"]),
                "stopDate": moment(body["ended"]) if body["ended"] else None,
            }
            for arn, body in self._engine.book.map_runs(row.id)
        ]
        shown, token = paging.page(entries, request.params)
        return {"mapRuns": shown, "nextToken": token}

    def update_map_run(self, request: Request) -> dict[str, Any]:
        """UpdateMapRun: concurrency and tolerance of a Map Run in progress."""
        params = request.params
        body = self._run(params["mapRunArn"])
        changes = {
            "limit": "maxConcurrency",
            "count": "toleratedFailureCount",
            "share": "toleratedFailurePercentage",
        }
        values = {key: params[name] for key, name in changes.items() if name in params}
        if not values:
            raise AwsError("ValidationException", "Must specify at least one of maxConcurrency, "
                           "toleratedFailureCount, or toleratedFailurePercentage")  # fmt: skip
        self._engine.call(self._update(body, values)).result()
        return {}

    async def _update(self, body: dict[str, Any], values: dict[str, Any]) -> None:
        execution = self._engine.executions.get(body["execution"])
        frames = [execution.root] if execution else []
        while frames:
            frame = frames.pop()
            frames += frame.children.values()
            if frame.id == body["frame"] and execution:
                frame.task.update(values)
                execution.mark(frame)
        await self._engine.committed()


def _listed(row: ledger.Row) -> dict[str, Any]:
    return {
        "executionArn": row.arn,
        "stateMachineArn": row.machine,
        "name": row.name,
        "status": row.status,
        "startDate": moment(row.started),
        "stopDate": moment(row.stopped) if row.stopped else None,
        "mapRunArn": row.map_run,
        "stateMachineVersionArn": row.extra.get("stateMachineVersionArn"),
        "stateMachineAliasArn": row.extra.get("stateMachineAliasArn"),
        "redriveCount": row.redrives,
        "redriveDate": moment(row.redriven) if row.redriven else None,
    }
