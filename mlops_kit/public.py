"""What ``import mlops_kit as kit`` shows of building and deploying: a function a verb; no work of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_kit.errors import UsageError
from mlops_kit.pipeline import Pipeline, Stack
from mlops_kit.public_runs import history_store, stack_name
from mlops_kit.settings import Settings

if TYPE_CHECKING:
    from mlops_kit.build.graph import Graph
    from mlops_kit.build.lint import Findings
    from mlops_kit.deploy.aws import Session
    from mlops_kit.deploy.drift import StackDrift
    from mlops_kit.deploy.plan import Plan
    from mlops_kit.deploy.removal import Removal
    from mlops_kit.deploy.stack import Applied
    from mlops_kit.templates import Permissions, Template

Told = Callable[[str], None]


def session(settings: Settings | None = None, **options: Any) -> Session:
    """Where to work: the embedded AWS unless told otherwise; nothing is asked of it yet.

    Parameters
    ----------
    settings : Settings, optional
        Default: from ``MLOPS_KIT_*`` variables and ``mlops-kit.toml``.
    **options
        Fields of Settings, such as ``target="aws"``.

    Raises
    ------
    UsageError
        A setting has no such name or value.
    """
    from mlops_kit.deploy.aws import session as make

    return make(_found(settings or Settings.load(**options)))


def definition(path: str | Path) -> dict[str, Any]:
    """A workflow from a file in the Amazon States Language, as Workflow Studio exports it.

    ``dataclasses.replace(pipeline, definition=kit.definition(path))`` makes it a pipeline's workflow. If it
    was exported from the pipeline's own state machine, `plan` and `apply` put the tokens back where it names
    what stands there, such as ``${SageMakerRole}`` for the role's ARN.

    Raises
    ------
    UsageError
        There is no such file, or it is no definition.
    """
    from mlops_kit.build.lint.run import definition_of

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read.", cause=str(error)) from None
    try:
        return dict(definition_of(text))
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", cause=error.cause, suggestion=error.suggestion) from None


def graph(of: Any) -> Graph:
    """Draw a workflow.

    Parameters
    ----------
    of : Pipeline, mapping, Run, str or Path
        A pipeline, a definition, a run (then with what happened), or a definition's file.
    """
    from mlops_kit.build.graph import graph as draw
    from mlops_kit.runs import Run

    if isinstance(of, Run):
        return of.graph()
    return draw(definition(of) if isinstance(of, str | Path) else of)


def lint(of: Any) -> Findings:
    """What is wrong or doubtful in a workflow; empty when clean.

    Parameters
    ----------
    of : Pipeline, mapping, str or Path
        A pipeline, a definition, or a definition's file.
    """
    from mlops_kit.build.lint import lint as check

    return check(definition(of) if isinstance(of, str | Path) else of)


def template(settings: Settings, pipeline: Pipeline) -> Template:
    """The CloudFormation template of a pipeline, built without a call."""
    from mlops_kit.templates import Template

    return Template(_built(settings, pipeline))


def permissions(settings: Settings, pipeline: Pipeline) -> Permissions:
    """What each role of a pipeline may do."""
    from mlops_kit.templates import permissions as read

    return read(_built(settings, pipeline))


def plan(session: Session, pipeline: Pipeline) -> Plan:
    """What `apply` would change; nothing is changed.

    Raises
    ------
    DeployError
        CloudFormation refuses the template, or the stack is being changed.
    """
    from mlops_kit.deploy import stack

    return stack.plan(session, _built_on(session, pipeline), _foundation(session, pipeline.model))


def apply(session: Session, pipeline: Pipeline, on_progress: Told | None = None) -> Applied:
    """Make the pipeline stand as described: its foundation, code, data and stack.

    Parameters
    ----------
    session : Session
        Where to.
    pipeline : Pipeline
        What.
    on_progress : callable, optional
        Called with a line for each resource that is done; default prints it.

    Raises
    ------
    DeployError
        A resource failed; names it with AWS's reason; AWS has rolled back.
    """
    from mlops_kit.deploy import stack
    from mlops_kit.progress import passing

    foundation = _foundation(session, pipeline.model)
    with passing():
        return stack.apply(session, _built_on(session, pipeline), foundation, on_progress or _say)


def bootstrap(session: Session, models: Sequence[str] = (), on_progress: Told | None = None) -> Applied:
    """Make what the project's pipelines share: buckets, bus, topics, lock table, model package groups.

    Parameters
    ----------
    session : Session
        Where to.
    models : sequence of str
        Models that get a group; those that have one keep it.
    on_progress : callable, optional
        As for `apply`.
    """
    from mlops_kit.deploy import stack

    return stack.bootstrap(session, _foundation(session, *models), on_progress or _say)


def removal(session: Session, pipeline: Pipeline | str, with_data: bool = False) -> Removal:
    """What `destroy` would remove.

    Parameters
    ----------
    session : Session
        Where to.
    pipeline : Pipeline or str
        A pipeline, or ``"foundation"``.
    with_data : bool
        Whether what the pipeline wrote to S3 goes too, with the versions in the registry whose models lie
        there; needs the pipeline itself, not its name.
    """
    from mlops_kit.deploy import removal as room

    return room.removal(session, stack_name(session, pipeline), _prefixes(pipeline, with_data))


def destroy(
    session: Session, pipeline: Pipeline | str, with_data: bool = False, on_progress: Told | None = None
) -> Removal:
    """Remove a pipeline with all that its executions made; data in S3 stay unless told otherwise.

    What is new of its executions is read into the local history store first: they go with the state machine.

    Parameters
    ----------
    session, pipeline, with_data
        As for `removal`.
    on_progress : callable, optional
        As for `apply`.
    """
    from mlops_kit.deploy import removal as room

    prefixes, name = _prefixes(pipeline, with_data), stack_name(session, pipeline)
    return room.destroy(
        session, name, prefixes, on_progress or _say, lambda: history_store(session, pipeline)
    )


def configuration_drift(session: Session, pipeline: Pipeline | str) -> StackDrift:
    """What was changed in AWS behind the pipeline's back."""
    from mlops_kit.deploy import drift

    return drift.detect(session, stack_name(session, pipeline))


def _built(settings: Settings, pipeline: Pipeline) -> Stack:
    from mlops_kit.build.template import build

    return build(settings, pipeline)


def _built_on(session: Session, pipeline: Pipeline) -> Stack:
    """The stack; a definition that was exported from the one that stands gets its tokens back."""
    from mlops_kit.build.exported import restored
    from mlops_kit.deploy import stack

    name = stack_name(session, pipeline)
    machine = stack.template(session, name)["Resources"].get("StateMachine")
    if machine is not None:
        known = stack.outputs(session, stack.foundation_name(session)) | stack.references(session, name)
        deployed = machine["Properties"]["DefinitionString"]
        found = restored(pipeline, session.settings.project, deployed, known)
        pipeline = replace(pipeline, definition=found)
    return _built(session.settings, pipeline)


def _foundation(session: Session, *models: str | None) -> Stack:
    """The foundation with the groups that it has and those that are wanted: no apply takes another's away."""
    from mlops_kit.build.template import foundation
    from mlops_kit.deploy import stack

    prefix = f"{session.settings.project}-"
    standing = stack.template(session, stack.foundation_name(session))["Resources"].values()
    had = [
        resource["Properties"]["ModelPackageGroupName"].removeprefix(prefix)
        for resource in standing
        if resource["Type"] == "AWS::SageMaker::ModelPackageGroup"
    ]
    return foundation(session.settings, [*had, *(model for model in models if model)])


def _prefixes(pipeline: Pipeline | str, with_data: bool) -> tuple[str, ...]:
    """What a pipeline writes in the data bucket, and the bundled data that it brought."""
    if not with_data:
        return ()
    if not isinstance(pipeline, Pipeline):
        return ("",)
    written: list[str] = [*pipeline.writes]
    for function in pipeline.functions:
        written += function.writes
    for job in pipeline.jobs:
        written += job.writes
    return tuple(dict.fromkeys([*written, *(file.key for file in pipeline.data)]))


def _found(settings: Settings) -> Settings:
    """Take up what stands: a state folder further up, and the port on which its embedded AWS answers."""
    from mlops_kit.settings import found_folder

    folder = found_folder(settings.state_dir)
    settings = replace(settings, state_dir=folder)
    if settings.target == "local" and settings.endpoint_url is None and folder.is_dir():
        from mlops_kit.local import control

        url = control.status(folder).url
        return replace(settings, endpoint_url=url) if url else settings
    return settings


def _say(line: str) -> None:
    print(line, flush=True)
