"""Step Functions of the embedded AWS: puts the parts together and offers its operations; decides nothing."""

from __future__ import annotations

from mlops_kit.local.service import AwsError, Context, Service
from mlops_kit.local.stepfunctions import flow, ledger
from mlops_kit.local.stepfunctions.activities import Activities
from mlops_kit.local.stepfunctions.engine import Engine
from mlops_kit.local.stepfunctions.machine_calls import MachineCalls
from mlops_kit.local.stepfunctions.machines import Machines
from mlops_kit.local.stepfunctions.starts import Starts
from mlops_kit.local.stepfunctions.tokens import Tokens
from mlops_kit.local.stepfunctions.trial import Trials
from mlops_kit.local.stepfunctions.version_calls import VersionCalls
from mlops_kit.local.stepfunctions.views import Views


class StepFunctions(Service):
    """AWS Step Functions.

    Parameters
    ----------
    context : Context
        What the server hands to each service.
    """

    name = "stepfunctions"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        context.store.migrate("stepfunctions", ledger.SCHEMA)
        self.machines = Machines(context.store)
        self.engine = Engine(context, ledger.Ledger(context.store), Tokens(), flow.drive)
        self.activities = Activities(self.engine)
        self._starts = Starts(self.engine, self.machines)
        self._machine_calls = MachineCalls(context, self.machines, self._deleted)
        parts = (
            self._machine_calls,
            VersionCalls(context, self.machines, self.activities),
            self.activities,
            self._starts,
            Views(self.engine, self.machines),
            Trials(self.engine),
        )
        for part in parts:
            self.operations.update(part.operations)
        self.machines.load()
        self.activities.load()
        self.engine.start()

    def start(self) -> None:
        """Go on with every execution that a former process left running."""
        self._starts.take_up()

    def under_way(self) -> list[str]:
        """States whose job runs, or has ended and the state has not seen it yet."""
        return [f"state {name}" for name in list(self.engine.followed.values())]

    def stop(self) -> None:
        """Come to rest; executions go on with the next start."""
        self.engine.stop()

    def _deleted(self, machine_arn: str) -> None:
        self.engine.call(self._starts.stop_all(machine_arn))

    def resolve(self, arn: str) -> bool:
        """Whether StartExecution would find a state machine, version or alias; from any thread."""
        try:
            self.machines.choose(arn)
        except AwsError:
            return False
        return True

    def start_from_event(self, state_machine_arn: str, input_text: str, name: str | None = None) -> str:
        """Start an execution for another service of this process; quick, from any thread.

        Parameters
        ----------
        state_machine_arn : str
            With or without version or alias.
        input_text : str
            JSON text.
        name : str, optional
            Name of the execution; a UUID unless given.

        Returns
        -------
        str
            ARN of the execution, which is on disk a moment later.

        Raises
        ------
        AwsError
            As StartExecution.
        """
        return self._starts.start_from_event(state_machine_arn, input_text, name)
