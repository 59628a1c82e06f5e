"""The engine's own thread: one event loop, group commits, timers, and threads for calls that block.

It knows no state type; `lifecycle.py` and `flow.py` run executions on it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_kit.local.service import disk_refused
from mlops_kit.local.stepfunctions import ledger
from mlops_kit.local.stepfunctions.history import log_lines
from mlops_kit.local.stepfunctions.metrics import Key, Tally

if TYPE_CHECKING:
    from mlops_kit.local.service import Context
    from mlops_kit.local.stepfunctions.execution import Execution
    from mlops_kit.local.stepfunctions.frames import Frame
    from mlops_kit.local.stepfunctions.tokens import Tokens

T = TypeVar("T")
logger = logging.getLogger(__name__)

_CALLS = 64  # calls to other services at a time; further ones queue
_LAST_WRITE = 10.0  # seconds that a stop waits for a disk that takes nothing
_PATIENCE = 5.0  # seconds that a caller waits for a disk that takes nothing
_BACKLOG = 4_000  # events that may wait for the disk before the one who makes them waits too


class Engine:
    """Runs coroutines of executions and brings what they record to disk.

    Everything but `call` and `stop` belongs to the loop's thread.

    Parameters
    ----------
    context : Context
        What the server hands to each service.
    book : Ledger
        The tables.
    tokens : Tokens
        Task tokens that are out.
    drive : callable
        Walks a frame to its end.

    Attributes
    ----------
    inherited : int
        The highest row number of a former process.
    trouble : str
        Why the disk takes nothing at the moment; empty when it does.
    ready : asyncio.Event
        Set when what a former process left running has been taken up.
    followed : dict
        A number for each task whose job runs in real time, with the name of its state.
    """

    def __init__(
        self, context: Context, book: ledger.Ledger, tokens: Tokens, drive: Callable[[Frame], Awaitable[None]]
    ) -> None:
        self.context = context
        self.drive = drive
        self.book = book
        self.tokens = tokens
        self.now: Callable[[], float] = context.clock.now
        self.executions: dict[str, Execution] = {}
        self.closing = False
        self.trouble = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stepfunctions", daemon=True)
        self._pool = ThreadPoolExecutor(_CALLS, "stepfunctions-call")
        self._touched: dict[int, Execution] = {}
        self._statements: list[ledger.Statement] = []
        self._work = asyncio.Event()
        self._next: asyncio.Future[None] = self._loop.create_future()
        self._in_flight: asyncio.Future[None] | None = None
        self._tally = Tally()
        self._background: set[asyncio.Task[Any]] = set()
        self.followed: dict[int, str] = {}
        self.inherited = book.last_id()
        self.ready = asyncio.Event()
        self._ids = itertools.count(self.inherited + 1)

    def new_id(self) -> int:
        """The next row number of an execution; from any thread."""
        return next(self._ids)

    # ------------------------------------------------------------------ thread
    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is recorded and end the thread; executions go on with the next start."""
        if not self._thread.is_alive():
            return
        try:
            self.call(self._close()).result(timeout=_LAST_WRITE)
        except TimeoutError:
            logger.error("the last events of executions could not be written; they are repeated")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=30)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def answer(self, work: Future[T]) -> T:
        """Wait for what a caller is told of.

        Raises
        ------
        AwsError
            ServiceUnavailable: the disk takes nothing. The work goes on when it does.
        """
        while True:
            try:
                return work.result(timeout=_PATIENCE)
            except TimeoutError:
                if work.done():
                    raise
                if self.trouble:
                    raise disk_refused(self.trouble) from None

    async def answered(self, work: Future[T]) -> T:
        """`answer` for a caller on another loop."""
        waiting = asyncio.wrap_future(work)
        while not (await asyncio.wait((waiting,), timeout=_PATIENCE))[0]:
            if self.trouble:
                raise disk_refused(self.trouble)
        return waiting.result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        writer = self.spawn(self._write())
        self._loop.run_forever()
        self._loop.run_until_complete(halt([writer]))
        self._loop.close()

    async def _close(self) -> None:
        self.closing = True
        tasks = [execution.task for execution in self.executions.values() if execution.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.committed()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine beside the others; a failure is logged."""
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of the engine failed", exc_info=task.exception())

    async def blocking(self, work: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in a worker thread."""
        return await self._loop.run_in_executor(self._pool, work, *args)

    # -------------------------------------------------------------------- time
    async def sleep_until(self, when: float) -> None:
        """Wait until the embedded clock shows ``when``."""
        if when <= self.now():
            return
        woken = asyncio.Event()
        timer = self.context.clock.call_at(when, lambda: self._post(woken.set))
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def _post(self, callback: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    async def within(self, when: float | None, work: Awaitable[T]) -> T:
        """Await work, but raise TimeoutError when the embedded clock reaches ``when`` first."""
        if when is None:
            return await work
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self.sleep_until(when))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            timer.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def breathe(self) -> None:
        """Let others run; wait for the disk when it is far behind."""
        waiting = sum(len(execution.events) for execution in self._touched.values())
        if waiting > _BACKLOG:
            await self.committed()
        else:
            await asyncio.sleep(0)

    # ------------------------------------------------------------------- commit
    def touch(self, execution: Execution) -> None:
        """Note that an execution has something to write."""
        self._touched[id(execution)] = execution
        self._work.set()

    def write(self, *statements: ledger.Statement) -> None:
        """Add statements to the next commit, after the frames that are written with it."""
        self._statements += statements
        self._work.set()

    def count(self, key: Key) -> None:
        """Count one for CloudWatch, with the next commit."""
        self._tally.add(key)
        self._work.set()

    async def committed(self) -> None:
        """Wait until all that was recorded so far is on disk."""
        if self._touched or self._statements:
            await asyncio.shield(self._next)
        elif self._in_flight is not None:
            await asyncio.shield(self._in_flight)

    async def _write(self) -> None:
        """Commit again and again: while one group is being written, the next one gathers."""
        while True:
            await self._work.wait()
            self._work.clear()
            statements = self._gather()
            self._in_flight, self._next = self._next, self._loop.create_future()
            if statements:
                await self._store(statements)
            self._in_flight.set_result(None)
            self._in_flight = None

    async def _store(self, statements: list[ledger.Statement]) -> None:
        """Write a group; nobody is told of it before it is on disk, so a full disk only makes them wait."""
        while True:
            try:
                await asyncio.wrap_future(self.context.store.write(statements))
                self.trouble = ""
                return
            except Exception as error:
                if not self.trouble:
                    logger.error("executions wait for the disk: %s", error)
                self.trouble = str(error)
                await asyncio.sleep(1)

    def _gather(self) -> list[ledger.Statement]:
        self._tally.put(self.context)
        statements: list[ledger.Statement] = []
        for execution in self._touched.values():
            self._log(execution)
            if execution.durable:
                number = execution.birth.id
                if execution.events:
                    statements += ledger.events(number, execution.events)
                for frame in execution.dirty.values():
                    parent = frame.parent.id if frame.parent else -1
                    statements.append(ledger.frame(number, frame.id, parent, frame.dump()))
            execution.events = []
            execution.dirty = {}
        statements += self._statements
        self._touched, self._statements = {}, []
        return statements

    def _log(self, execution: Execution) -> None:
        logging_to = execution.birth.logging
        level = logging_to.get("level", "OFF")
        if level == "OFF" or not logging_to.get("group") or not execution.events:
            return
        birth = execution.birth
        lines = log_lines(
            execution.events,
            level,
            logging_to.get("includeExecutionData", False),
            birth.arn,
            execution.redrives,
        )
        if lines:
            context = self.context.within(birth.arn.split(":")[3])
            context.log(logging_to["group"], log_stream(execution), lines)


async def halt(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel what still runs, and wait for it."""
    left = [task for task in tasks if not task.done()]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def log_stream(execution: Execution) -> str:
    """Name of the stream in which an execution's lines go."""
    minute = strftime("%Y-%m-%d-%H-%M", gmtime(execution.birth.started))
    return f"states/{execution.birth.machine_name.split('/')[0]}/{minute}/{execution.birth.arn[-8:]}"
