"""The retraining of a model: claim, prepare, train, judge, deploy, tell; one definition for every model.

Data flow: every state's output is its input and what it added, so a state's input alone suffices to begin
again there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlops_kit.artifacts import Artifact
from mlops_kit.build import events, steps
from mlops_kit.build.steps import Call, ScriptJob, State
from mlops_kit.pipeline import Function, GlueJob, Pipeline
from mlops_kit.settings import Settings
from pipelines import expressions as x
from pipelines import release
from pipelines.models import find
from pipelines.models.spec import ROOT, ModelSpec

FRAMEWORK, VERSION = "sklearn", "1.2-1"  # the newest that exists for training and for serving
FEATURES = (("pipelines/__init__.py", ROOT / "__init__.py"), ("pipelines/features", ROOT / "features"))

DAY = {"type": "string", "pattern": x.DAY_PATTERN}
TRIGGER = {
    "type": "object",
    "description": "Who started it, such as a schedule or a drift rule; kept with the history.",
    "properties": {name: {"type": "string"} for name in ("kind", "name", "id")},
}
WINDOW = ("as_of", "window", "lock", "train_start", "train_end", "prefix")  # what ComputeWindow makes of it
HELD = ("DynamoDB.ConditionalCheckFailedException",)  # another execution holds the window, or has done it


def build(
    settings: Settings, model: str = "demand", thresholds: Mapping[str, float] | None = None
) -> Pipeline:
    """The retraining pipeline of a model.

    Parameters
    ----------
    settings : Settings
        Region and project.
    model : str
        Name of a spec in ``pipelines.models``.
    thresholds : mapping of str to float, optional
        Replace some of the spec's: ``wape``, ``worse_by``.

    Returns
    -------
    Pipeline
        Named ``retraining-<model>``.

    Raises
    ------
    UsageError
        There is no such model, or a threshold is unknown or no number.
    """
    spec = find(model).with_thresholds(thresholds)
    training = model_code()
    scoring = Artifact("scoring", "zip", (("__main__.py", ROOT / "jobs" / "score_models.py"), *FEATURES))
    definition = _definition(settings, spec, training, scoring)
    name = f"retraining-{spec.name}"
    release_claim, execution_ended = events.release_claim(settings, name)
    return Pipeline(
        name=name,
        description=f"{spec.description}: retrained, judged, deployed and reported",
        definition=definition,
        input_schema=_input_schema([way["Next"] for way in definition["States"]["ResumeAt"]["Choices"]]),
        model=spec.name,
        features=spec.features,
        replay=f"pipelines.replay:{spec.name}",
        functions=(_evaluate_model(), release_claim),
        jobs=(preparation("PrepareTrainingData", "retraining/"),),
        schedules=(spec.schedule,) if spec.schedule else (),
        rules=(execution_ended,),
        artifacts=(training, scoring),
        data=(spec.data,),
        reads=("retraining/",),
        writes=("retraining/",),
    )


def _input_schema(states: Sequence[str]) -> dict[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "before": {"train_start": ["train_end", "as_of"]},
        "properties": {
            "as_of": {
                "type": "string",
                "pattern": x.MOMENT_PATTERN,
                "description": "UTC day or time that it stands for, such as 2011-07-01; default its start.",
            },
            "train_start": {
                **DAY,
                "description": "First day of it, such as 2011-01-01; default 181 days before its end.",
            },
            "train_end": {**DAY, "description": "Day after its last, such as 2011-07-01; default as_of."},
            "trigger": TRIGGER,
            "force": {"type": "boolean", "description": "Retrain although the window is claimed or done."},
            "git_commit": {
                "type": "string",
                "maxLength": 64,
                "description": "Kept with the model's version.",
            },
            "resume": resume_schema(states, WINDOW),
        },
    }


def resume_schema(states: Sequence[str], members: Sequence[str]) -> dict[str, Any]:
    """Schema of the member that lets an execution begin at one of these states.

    Parameters
    ----------
    states : sequence of str
        Names of the states.
    members : sequence of str
        Texts that the data of every one of them hold.
    """
    text = {"type": "string", "minLength": 1}
    return {
        "type": "object",
        "description": "Begin at a state, with the data that it had; `mlops-kit redrive` writes it.",
        "additionalProperties": False,
        "required": ["state", "data"],
        "properties": {
            "state": {"enum": list(states)},
            "data": {
                "type": "object",
                "description": "What the state was given, as its execution's history shows it.",
                "required": list(members),
                "properties": dict.fromkeys(members, text),
            },
            "execution": {"type": "string"},
        },
    }


def _evaluate_model() -> Function:
    source = ROOT / "functions" / "evaluate_model.py"
    code = Artifact("evaluate_model", "zip", ((source.name, source),))
    return Function("EvaluateModel", "evaluate_model.handler", code, reads=("retraining/",))


def model_code() -> Artifact:
    """The scripts that train and that serve, as SageMaker's source folder."""
    scripts = tuple((name, ROOT / "jobs" / name) for name in ("train.py", "inference.py"))
    return Artifact("training", "tar.gz", (*scripts, *FEATURES))


def preparation(name: str, writes: str) -> GlueJob:
    """The job that makes features of raw hours, by its name in a pipeline and the prefix that it writes."""
    script = ROOT / "jobs" / "prepare_training_data.py"
    return GlueJob(
        name,
        Artifact("prepare_training_data", "file", ((script.name, script),)),
        modules=(Artifact("pipeline_features", "wheel", FEATURES),),
        reads=("raw/",),
        writes=(writes,),
    )


def _definition(settings: Settings, spec: ModelSpec, training: Artifact, scoring: Artifact) -> dict[str, Any]:
    """Make every state, link them, and let every Task's errors lead to the failure path."""
    region, project = settings.region, settings.project
    image = steps.image_uri(FRAMEWORK, VERSION, region, spec.training_instance)
    prepare = _prepare(region, spec)
    train = _train(region, project, spec, image, training)
    find = find_champion(region, project, spec)
    describe_champion = _describe_champion(region)
    score = _score(region, project, spec, image, scoring)
    evaluate = _evaluate(region, spec)
    register = release.register(region, project, spec, image, training)
    deploy = release.deploy(region, project, spec, image, training)
    approve = release.approve(region)
    mark_done = _mark_done(region)
    success = _notify(region, spec, "NotifySuccess", x.success(spec.name))
    rejected = _notify(region, spec, "NotifyRejected", x.rejected(spec.name))

    steps.chain([success, steps.succeed("Retrained")])
    steps.chain([rejected, steps.succeed("Rejected")])
    announce = steps.choice("Announce", [(x.PROMOTED, success)], rejected)
    mark_done.next(announce)
    steps.catch([mark_done], announce, x.KEEP, HELD)  # the claim expired and is another's by now
    release_it = steps.chain([register, deploy, approve, mark_done])
    check = steps.choice("CheckMetrics", [(x.passed(spec.thresholds), release_it)], mark_done)
    steps.chain([prepare, train, find])
    steps.chain([describe_champion, score, evaluate, check])
    find.next(steps.choice("HasChampion", [(x.HAS_CHAMPION, describe_champion)], score))

    work = [prepare, train, find, describe_champion, score, evaluate, register, deploy, approve]
    work += [mark_done]
    tell = _notify(region, spec, "NotifyFailure", x.failed(f"retraining of {spec.name}"), "${CriticalTopic}")
    release_window = _release_window(region, tell)
    _catch_failures(work, release_window)
    _catch_failures([success, rejected], tell)  # the window is done all the same
    first = _entrance(region, spec, [*work, success, rejected], release_window)
    return steps.definition(first, f"Retrains the {spec.name} model", x.TIMEOUT)


def _entrance(region: str, spec: ModelSpec, work: list[State], release_window: State) -> State:
    """ResumeFrom, the check of the input, the window, and its claim."""
    claim = _claim(region, "ClaimWindow", x.claim("$states.input"), x.KEEP)
    reclaim = _claim(region, "ReclaimWindow", x.reclaim(), x.RESUMED)
    steps.catch([claim, reclaim], steps.succeed("AlreadyRetraining"), x.KEEP, HELD)
    _catch_failures([claim, reclaim], release_window)
    targets = [claim, *work]
    names = [state.state_id for state in targets]
    unknown = steps.fail("UnknownState", "UnknownState", x.unknown_state(names))
    reclaim.next(
        steps.choice("ResumeAt", [(x.resumes_at(state.state_id), state) for state in targets], unknown)
    )
    window = steps.pass_("ComputeWindow", x.window(spec))
    steps.chain([window, claim, work[0]])
    tell = release_window.next_step
    check = steps.choice("CheckInput", [(wrong, tell, output) for wrong, output in x.mistakes()], window)
    return steps.choice("ResumeFrom", [(x.resumes_at_none_of(names), unknown), (x.RESUMES, reclaim)], check)


def _claim(region: str, name: str, arguments: dict[str, Any], output: str) -> State:
    return steps.task(name, region, "dynamodb:putItem", arguments, Call(30, (steps.DYNAMODB,)), output)


def _prepare(region: str, spec: ModelSpec) -> State:
    arguments = {
        "JobName": "${PrepareTrainingDataJob}",
        "Arguments": {
            "--bucket": "${DataBucket}",
            "--raw_key": spec.data.key,
            "--output_prefix": x.of("prefix"),
            "--train_start": x.of("train_start"),
            "--train_end": x.of("train_end"),
            "--validation_days": str(spec.validation_days),
            "--test_days": str(spec.test_days),
        },
    }
    call = Call(3600, (steps.GLUE, steps.JOB_FAILED))
    return steps.task("PrepareTrainingData", region, "glue:startJobRun.sync", arguments, call, x.KEEP)


def _train(region: str, project: str, spec: ModelSpec, image: str, source: Artifact) -> State:
    job = ScriptJob(
        image=image,
        instance=spec.training_instance,
        name=x.job_name(project, spec.name),
        inputs={part: x.data_uri(f"/{part}/") for part in ("train", "validation")},
        output=x.data_uri("/model/"),
        source=f"s3://${{ArtifactBucket}}/{source.key}",
        program="train.py",
        hyperparameters=spec.hyperparameters,
        tags=x.tags(project, spec.name),
        metrics={f"validation:{name}": rf"validation:{name}=([-0-9.]+);" for name in ("wape", "mae", "bias")},
    )
    call = Call(7200, (steps.SAGEMAKER, steps.JOB_FAILED))
    output = x.adding(model_data="$states.result.ModelArtifacts.S3ModelArtifacts")
    return steps.training("TrainModel", region, job, call, output)


def find_champion(region: str, project: str, spec: ModelSpec) -> State:
    """FindChampion: the newest approved version, as ``champion``; nothing where there is none."""
    arguments = {
        "ModelPackageGroupName": f"{project}-{spec.name}",
        "ModelApprovalStatus": "Approved",
        "SortBy": "CreationTime",
        "SortOrder": "Descending",
        "MaxResults": 1,
    }
    output = x.adding(champion="$states.result.ModelPackageSummaryList[0].ModelPackageArn")
    call = Call(60, (steps.SAGEMAKER,))
    return steps.task("FindChampion", region, "aws-sdk:sagemaker:listModelPackages", arguments, call, output)


def _describe_champion(region: str) -> State:
    output = x.adding(champion_data="$states.result.InferenceSpecification.Containers[0].ModelDataUrl")
    arguments = {"ModelPackageName": x.of("champion")}
    integration = "aws-sdk:sagemaker:describeModelPackage"
    return steps.task(
        "DescribeChampion", region, integration, arguments, Call(60, (steps.SAGEMAKER,)), output
    )


def _score(region: str, project: str, spec: ModelSpec, image: str, code: Artifact) -> State:
    base = "/opt/ml/processing"
    inputs = {
        "code": f"s3://${{ArtifactBucket}}/{code.key}",
        "challenger": x.of("model_data"),
        "test": x.data_uri("/test/"),
        "data": x.data_uri("/data.json"),
        "champion": x.of("champion_data"),
    }
    folders = [part for name in inputs if name != "code" for part in (f"--{name}", f"{base}/input/{name}")]
    program = f"{base}/input/code/{code.key.rpartition('/')[2]}"
    job = ScriptJob(
        image=image,
        instance=spec.processing_instance,
        name=x.job_name(project, spec.name),
        inputs=inputs,
        output=x.data_uri("/metrics/"),
        arguments=("python3", program, *folders, "--output", f"{base}/output"),
        tags=x.tags(project, spec.name),
    )
    call = Call(3600, (steps.SAGEMAKER, steps.JOB_FAILED))
    output = x.adding(metrics_key="$states.input.prefix & '/metrics/metrics.json'")
    state = steps.processing("ScoreModels", region, job, call, output)
    arguments = state.fields["arguments"]
    arguments["ProcessingInputs"] = x.with_champion_if_any(arguments["ProcessingInputs"])
    return state


def _evaluate(region: str, spec: ModelSpec) -> State:
    payload = {"bucket": "${DataBucket}", "key": x.of("metrics_key"), "thresholds": dict(spec.thresholds)}
    arguments = {"FunctionName": "${EvaluateModelFunction}", "Payload": payload}
    output = x.adding(evaluation="$states.result.Payload")
    return steps.task("EvaluateModel", region, "lambda:invoke", arguments, Call(120, (steps.LAMBDA,)), output)


def _mark_done(region: str) -> State:
    arguments = {
        "TableName": "${LockTable}",
        "Key": {"pk": {"S": x.of("lock")}},
        "UpdateExpression": "SET #status = :done REMOVE expires_at",
        "ConditionExpression": "#owner = :me",
        "ExpressionAttributeNames": {"#status": "status", "#owner": "owner"},
        "ExpressionAttributeValues": {":done": {"S": "done"}, ":me": {"S": x.EXECUTION}},
    }
    call = Call(30, (steps.DYNAMODB,))
    return steps.task("MarkWindowDone", region, "dynamodb:updateItem", arguments, call, x.KEEP)


def _notify(region: str, spec: ModelSpec, name: str, message: str, topic: str = "${RoutineTopic}") -> State:
    words = {
        "NotifySuccess": "retrained",
        "NotifyRejected": "challenger rejected",
        "NotifyFailure": "retraining failed",
    }
    arguments = {"TopicArn": topic, "Subject": f"{spec.name}: {words[name]}", "Message": message}
    return steps.task(name, region, "sns:publish", arguments, Call(30, (steps.SNS,)), x.KEEP)


def _release_window(region: str, tell: State) -> State:
    """The failure path: release the window so that the run can be repeated, tell people, fail."""
    arguments = {
        "TableName": "${LockTable}",
        "Key": {"pk": {"S": x.of("lock")}},
        "ConditionExpression": "attribute_not_exists(pk) OR #owner = :me",
        "ExpressionAttributeNames": {"#owner": "owner"},
        "ExpressionAttributeValues": {":me": {"S": x.EXECUTION}},
    }
    call = Call(30, (steps.DYNAMODB,))
    release_window = steps.task("ReleaseWindow", region, "dynamodb:deleteItem", arguments, call, x.KEEP)
    failed = steps.fail("RetrainingFailed", x.FAILURE_ERROR, x.FAILURE_CAUSE)
    steps.chain([release_window, tell, failed])
    steps.catch([release_window], tell, x.KEEP)
    steps.catch([tell], failed, x.KEEP)
    return release_window


def _catch_failures(states: list[State], target: State) -> None:
    for state in states:
        steps.catch([state], target, x.failure(state.state_id))
