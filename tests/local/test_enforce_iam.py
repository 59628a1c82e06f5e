"""``--enforce-iam`` at the port: who is held to which policies, on what resource, and in whose words."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from click.testing import CliRunner

from mlops_kit.cli import cli
from mlops_kit.errors import UsageError
from mlops_kit.local import control
from mlops_kit.local.authorization import Session
from mlops_kit.local.clients import client
from tests.conftest import REGION, EmbeddedAws, _running
from tests.local.enforcing import ACCOUNT, Enforcing, allow, denied, unique
from tests.local.test_athena import Lake


@pytest.fixture(scope="module")
def iam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Enforcing]:
    for aws in _running(tmp_path_factory.mktemp("enforcing"), "--enforce-iam"):
        yield Enforcing(aws)


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


TOPIC = arn("sns", "t")
WORDS = {
    "s3 get": (
        ("s3", "get_object", {"Bucket": "some-bucket", "Key": "a/b c"}),
        ("AccessDenied", 403, denied("s3:GetObject", '"arn:aws:s3:::some-bucket/a/b c"')),
    ),
    "dynamodb": (
        ("dynamodb", "put_item", {"TableName": "t", "Item": {}}),
        ("AccessDeniedException", 400, denied("dynamodb:PutItem", arn("dynamodb", "table/t"))),
    ),
    "sns": (
        ("sns", "publish", {"TopicArn": TOPIC, "Message": "m"}),
        ("AuthorizationError", 403, denied("SNS:Publish", TOPIC)),
    ),
    "sqs": (
        ("sqs", "send_message", {"QueueUrl": f"http://127.0.0.1/{ACCOUNT}/q", "MessageBody": "m"}),
        ("AccessDenied", 403, denied("sqs:sendmessage", arn("sqs", "q"))),
    ),
    "events": (
        ("events", "put_events", {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{}"}]}),
        ("AccessDeniedException", 400, denied("events:PutEvents", arn("events", "event-bus/default"))),
    ),
    "lambda": (
        ("lambda", "invoke", {"FunctionName": "f", "Qualifier": "2"}),
        ("AccessDeniedException", 403, denied("lambda:InvokeFunction", arn("lambda", "function:f:2"))),
    ),
    "states": (
        ("stepfunctions", "describe_execution", {"executionArn": arn("states", "execution:m:e")}),
        ("AccessDeniedException", 400, denied("states:DescribeExecution", arn("states", "execution:m:e"))),
    ),
    "sagemaker": (
        ("sagemaker", "describe_training_job", {"TrainingJobName": "Train-1"}),
        (
            "AccessDeniedException",
            400,
            denied("sagemaker:DescribeTrainingJob", arn("sagemaker", "training-job/train-1")),
        ),
    ),
    "endpoint": (
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b""}),
        ("AccessDeniedException", 403, denied("sagemaker:InvokeEndpoint", arn("sagemaker", "endpoint/e"))),
    ),
    "glue": (
        ("glue", "get_job_run", {"JobName": "j", "RunId": "r"}),
        ("AccessDeniedException", 400, denied("glue:GetJobRun", arn("glue", "job/j"))),
    ),
    "athena": (
        ("athena", "start_query_execution", {"QueryString": "select 1"}),
        (
            "AccessDeniedException",
            400,
            denied("athena:StartQueryExecution", arn("athena", "workgroup/primary")),
        ),
    ),
    "logs": (
        ("logs", "create_log_stream", {"logGroupName": "g", "logStreamName": "s"}),
        (
            "AccessDeniedException",
            400,
            denied("logs:CreateLogStream", arn("logs", "log-group:g:log-stream:s")),
        ),
    ),
    "cloudwatch": (
        ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": [{"MetricName": "m"}]}),
        ("AccessDeniedException", 403, denied("cloudwatch:PutMetricData")),
    ),
    "a service that nobody here knows": (
        ("redshift-data", "execute_statement", {"Sql": "select 1"}),
        ("AccessDeniedException", 400, denied("redshift-data:ExecuteStatement")),
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_what_no_policy_allows_is_refused_in_the_words_of_the_service(iam: Enforcing, case: str) -> None:
    (service, method, params), (code, status, words) = WORDS[case]
    role = iam.role()
    with pytest.raises(ClientError) as refused:
        getattr(iam.assumed(role)(service), method)(**params)
    said = refused.value.response
    user = f"User: arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/tester"
    assert (said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert said["Error"]["Message"] == f"{user} {words}"


def test_a_policy_allows_its_actions_on_its_resources_under_its_conditions(iam: Enforcing) -> None:
    bucket = iam.bucket(**{"in/a": "1", "out/a": "2"})
    root = f"arn:aws:s3:::{bucket}"
    listed = {"Condition": {"StringLike": {"s3:prefix": "in/*"}}}
    s3 = iam.assumed(iam.role(allow("s3:Get*", f"{root}/in/*"), allow("s3:ListBucket", root, **listed)))("s3")
    assert s3.get_object(Bucket=bucket, Key="in/a")["Body"].read() == b"1"
    assert s3.list_objects_v2(Bucket=bucket, Prefix="in/")["KeyCount"] == 1
    for refused in (
        lambda: s3.get_object(Bucket=bucket, Key="out/a"),
        lambda: s3.list_objects_v2(Bucket=bucket),
        lambda: s3.put_object(Bucket=bucket, Key="in/b", Body=b"x" * (1 << 20)),
        lambda: s3.copy_object(Bucket=bucket, Key="in/b", CopySource=f"{bucket}/out/a"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()


def test_a_condition_sees_a_body_that_is_sent_compressed(iam: Enforcing) -> None:
    mine = {"Condition": {"StringEquals": {"cloudwatch:namespace": "mine"}}}
    cloudwatch = iam.boto(iam.role(allow("cloudwatch:PutMetricData", **mine)), "cloudwatch")
    data = [{"MetricName": "m", "Dimensions": [{"Name": "n", "Value": f"{n:0200}"}]} for n in range(100)]
    sent = [{**datum, "Value": 1.0} for datum in data]  # over 10 kB: boto3 compresses it
    cloudwatch.put_metric_data(Namespace="mine", MetricData=sent)
    with pytest.raises(ClientError, match="cloudwatch:PutMetricData"):
        cloudwatch.put_metric_data(Namespace="other", MetricData=sent)


def test_a_deny_wins_and_says_so_and_a_bucket_policy_counts_too(iam: Enforcing) -> None:
    bucket = iam.bucket(key="1")
    root, deny = f"arn:aws:s3:::{bucket}", {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
    role = iam.role(deny, allow("s3:*", root + "/*"))
    with pytest.raises(ClientError, match="with an explicit deny in an identity-based policy"):
        iam.assumed(role)("s3").put_object(Bucket=bucket, Key="x")
    reader = iam.role()
    granted = {
        "Effect": "Allow",
        "Principal": {"AWS": reader},
        "Action": "s3:GetObject",
        "Resource": f"{root}/*",
    }
    iam.aws.client("s3").put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [granted]})
    )
    assert iam.assumed(reader)("s3").get_object(Bucket=bucket, Key="key")["Body"].read() == b"1"


def test_only_a_policy_for_everything_allows_a_service_that_nobody_here_knows(iam: Enforcing) -> None:
    role = iam.role(allow("redshift-data:ExecuteStatement", arn("redshift", "cluster:c")))
    with pytest.raises(ClientError, match="redshift-data:ExecuteStatement"):
        iam.assumed(role)("redshift-data").execute_statement(Sql="select 1")
    iam.grant(role, allow("redshift-data:*"))
    with pytest.raises(ClientError) as passed:  # the gate lets it pass; nobody serves it
        iam.assumed(role)("redshift-data").execute_statement(Sql="select 1")
    assert passed.value.response["Error"]["Code"] != "AccessDeniedException"


def test_the_user_is_the_administrator_and_a_key_of_nobody_is_nobody(iam: Enforcing) -> None:
    assert iam.aws.client("stepfunctions").list_state_machines()["stateMachines"] is not None
    session = Session(iam.role(allow("*")), "forged").credentials
    forged = type(session)(session.access_key, session.secret_key, session.token + "x")
    with pytest.raises(ClientError, match="The security token included in the request is invalid"):
        client(iam.aws.url, REGION, "stepfunctions", forged).list_state_machines()


def test_passing_a_role_and_tags_of_a_job_are_permissions_of_their_own(iam: Enforcing) -> None:
    job_role, role = iam.role(), iam.role()
    wanted = {
        "TrainingJobName": unique("job"),
        "RoleArn": job_role,
        "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": "none"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/x"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Tags": [{"Key": "a", "Value": "b"}],
    }
    job = arn("sagemaker", f"training-job/{wanted['TrainingJobName']}")
    create = allow("sagemaker:CreateTrainingJob", arn("sagemaker", "training-job/*"))
    tag = allow("sagemaker:AddTags", arn("sagemaker", "training-job/*"))
    other = {"Condition": {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}}
    right = {"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}}
    for granted, words in (
        ([create], denied("sagemaker:AddTags", job)),
        ([create, tag], denied("iam:PassRole", job_role)),
        ([create, tag, allow("iam:PassRole", job_role, **other)], denied("iam:PassRole", job_role)),
        ([create, tag, allow("iam:PassRole", job_role, **right)], "none"),  # refused for its image at last
    ):
        iam.grant(role, *granted)
        with pytest.raises(ClientError) as refused:
            iam.assumed(role)("sagemaker").create_training_job(**wanted)
        assert words in refused.value.response["Error"]["Message"]


def test_sagemaker_refuses_a_role_that_it_may_not_assume_or_that_cannot_read_the_model(
    iam: Enforcing,
) -> None:
    sagemaker, bucket = iam.aws.client("sagemaker"), iam.bucket(**{"model.tar.gz": "x"})
    image = "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
    container = {"Image": image, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
    stranger, blind = iam.role(allow("*"), trusts=["states"]), iam.role()
    for role, words in (
        (stranger, f"Could not assume role {stranger}. Please ensure that the role exists"),
        (blind, f"Could not access model data at s3://{bucket}/model.tar.gz. Please ensure that the role"),
    ):
        with pytest.raises(ClientError, match="ValidationException") as refused:
            sagemaker.create_model(ModelName=unique("m"), ExecutionRoleArn=role, PrimaryContainer=container)
        assert words in refused.value.response["Error"]["Message"]
    reader = iam.role(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    assert sagemaker.create_model(ModelName=unique("m"), ExecutionRoleArn=reader, PrimaryContainer=container)


WHO = """
    import boto3
    def handler(event, context):
        print("hello")
        boto3.client("s3").put_object(Bucket=event, Key="by-function", Body=b"")
        return boto3.client("sts").get_caller_identity()["Arn"]
"""


def test_a_function_calls_and_logs_as_its_role(iam: Enforcing) -> None:
    bucket, role = iam.bucket(), iam.role()
    name = iam.function(role, WHO)

    def called() -> Any:
        answer = iam.aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(bucket))
        return json.loads(answer["Payload"].read())

    refused = called()
    assert (refused["errorType"], denied("s3:PutObject", f'"arn:aws:s3:::{bucket}/by-function"')) == (
        "AccessDenied",
        refused["errorMessage"][refused["errorMessage"].index("is not authorized") :],
    )
    put = allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*")
    iam.grant(role, put)
    assert called() == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/{name}"
    logs, group = iam.aws.client("logs"), f"/aws/lambda/{name}"
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    iam.grant(
        role, put, allow(["logs:CreateLogStream", "logs:PutLogEvents"], arn("logs", f"log-group:{group}:*"))
    )
    called()
    iam.until(lambda: logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"])


def test_what_came_of_an_asynchronous_call_is_told_as_the_function_s_role(iam: Enforcing) -> None:
    sqs, functions, role = iam.aws.client("sqs"), iam.aws.client("lambda"), iam.role()
    queue = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    target = arn("sqs", queue.rpartition("/")[2])
    name = iam.function(role, "def handler(event, context): return event")
    functions.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": target}}
    )

    def call(number: int) -> None:
        functions.invoke(FunctionName=name, InvocationType="Event", Payload=str(number))

    call(1)
    iam.until(lambda: f"The result of {name} did not reach {target}" in iam.aws.log)
    iam.grant(role, allow("sqs:SendMessage", target))
    call(2)
    told = iam.until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    assert json.loads(told[0]["Body"])["requestPayload"] == 2


def test_a_glue_job_reads_its_script_and_calls_as_its_role(iam: Enforcing) -> None:
    script = "import boto3\nboto3.client('s3').put_object(Bucket={!r}, Key='out', Body=b'')\n"
    bucket = iam.bucket()
    iam.aws.client("s3").put_object(Bucket=bucket, Key="job.py", Body=script.format(bucket).encode())
    glue, role, name = iam.aws.client("glue"), iam.role(), unique("job")
    command = {"Name": "pythonshell", "ScriptLocation": f"s3://{bucket}/job.py", "PythonVersion": "3.9"}
    glue.create_job(Name=name, Role=role.rpartition("/")[2], Command=command)

    def run() -> tuple[str, str]:
        started = glue.start_job_run(JobName=name)["JobRunId"]
        ended = iam.until(
            lambda: glue.get_job_run(JobName=name, RunId=started)["JobRun"],
            lambda shown: shown["JobRunState"] not in ("STARTING", "RUNNING"),
        )
        return ended["JobRunState"], ended.get("ErrorMessage", "")

    read, write = (allow(f"s3:{verb}Object", f"arn:aws:s3:::{bucket}/*") for verb in ("Get", "Put"))
    for granted, words in (([], "s3:GetObject"), ([read], "s3:PutObject"), ([read, write], "")):
        iam.grant(role, *granted)
        state, said = run()
        assert (state, words in said) == ("FAILED" if words else "SUCCEEDED", True)
        assert not words or "/GlueJobRunnerSession is not authorized to perform" in said


def test_a_job_in_another_region_logs_there_as_far_as_its_role_may(iam: Enforcing) -> None:
    place, bucket, name = "eu-west-1", iam.bucket(**{"job.py": "print('hello')"}), unique("job")
    logs = ["logs:CreateLogStream", "logs:PutLogEvents"]
    role = iam.role(
        allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
        allow(logs, f"arn:aws:logs:{place}:{ACCOUNT}:log-group:/aws-glue/*"),
    )
    glue = iam.aws.client("glue", place)
    command = {"Name": "pythonshell", "ScriptLocation": f"s3://{bucket}/job.py", "PythonVersion": "3.9"}
    glue.create_job(Name=name, Role=role, Command=command)
    run = glue.start_job_run(JobName=name)["JobRunId"]
    where = {"logGroupName": "/aws-glue/python-jobs/output", "logStreamNames": [run]}

    def lines() -> list[str]:
        try:
            found = iam.aws.client("logs", place).filter_log_events(**where)["events"]
        except ClientError:
            return []
        return [event["message"] for event in found]

    assert "hello" in iam.until(lines)


def test_credentials_of_a_job_stay_good_when_the_server_starts_again(tmp_path: Path) -> None:
    for aws in _running(tmp_path, "--enforce-iam"):
        house = Enforcing(aws)
        keys = Session(house.role(allow("sqs:ListQueues")), "SageMaker").credentials
        aws.stop()
        aws.start()
        assert client(aws.url, REGION, "sqs", keys).list_queues()["ResponseMetadata"]["HTTPStatusCode"] == 200
        with pytest.raises(ClientError, match="SNS:ListTopics"):
            client(aws.url, REGION, "sns", keys).list_topics()


def test_without_the_option_a_role_without_policies_does_what_it_likes(aws: EmbeddedAws) -> None:
    lax = Enforcing(aws)
    role, bucket = lax.role(), lax.bucket()
    assert lax.assumed(role)("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    ended = lax.task(role, "aws-sdk:s3:putObject", {"Bucket": bucket, "Key": "k", "Body": "x"})
    assert ended["status"] == "SUCCEEDED"
    name = lax.function(role, WHO)
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(bucket))
    assert "assumed-role" not in answer["Payload"].read().decode()


def test_the_status_says_it_and_a_laxer_server_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    try:
        assert not control.start(folder, port=0).enforces_iam
        with pytest.raises(UsageError, match="does not hold roles to their policies"):
            control.start(folder, port=0, enforce_iam=True)
        control.stop(folder)
        assert control.start(folder, port=0, enforce_iam=True).enforces_iam
        assert control.status(folder).enforces_iam
        control.stop(folder)
        assert not control.start(folder, port=0).enforces_iam  # an option of the server, not of the folder
    finally:
        control.stop(folder)


def test_a_bucket_in_the_host_name_is_the_same_bucket(iam: Enforcing) -> None:
    bucket, role = iam.bucket(key="1"), iam.role()
    keys = Session(role, "tester").credentials
    signed = f"AWS4-HMAC-SHA256 Credential={keys.access_key}/20110701/{REGION}/s3/aws4_request, Signature=x"

    def get() -> bytes:
        headers = {
            "Host": f"{bucket}.s3.localhost",
            "Authorization": signed,
            "X-Amz-Security-Token": keys.token,
        }
        connection = HTTPConnection("127.0.0.1", iam.aws.port)
        connection.request("GET", "/key", headers=headers)
        answer = connection.getresponse().read()
        connection.close()
        return answer

    assert f's3:GetObject on resource: "arn:aws:s3:::{bucket}/key"' in html.unescape(get().decode())
    iam.grant(role, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/key"))
    assert get() == b"1"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_may_do_what_its_signer_may(iam: Enforcing, version: str) -> None:
    bucket, role = iam.bucket(key="1"), iam.role()
    s3 = iam.boto(role, "s3", config=Config(signature_version=version))
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "key"})
    with pytest.raises(HTTPError, match="403"):
        urlopen(url)
    iam.grant(role, allow("s3:GetObject", f"arn:aws:s3:::{bucket}/key"))
    with urlopen(url) as answer:
        assert answer.read() == b"1"


def test_an_inactive_key_of_a_user_is_nobody_s(iam: Enforcing) -> None:
    users, name = iam.aws.client("iam"), unique("user")
    users.create_user(UserName=name)
    made = users.create_access_key(UserName=name)["AccessKey"]
    sqs = boto3.client(
        "sqs",
        endpoint_url=iam.aws.url,
        region_name=REGION,
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
    )
    with pytest.raises(ClientError, match=f":user/{name} is not authorized to perform: sqs:listqueues"):
        sqs.list_queues()
    users.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        sqs.list_queues()


def test_the_command_starts_it_so_and_says_so(tmp_path: Path) -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(cli, ["local", *words, "--state-dir", str(tmp_path / "state")])
        assert not done.exit_code, done.output
        return done.output

    try:
        assert "Roles are held to their policies." in said("start", "--port", "0", "--enforce-iam")
        assert "held to their policies" in said("status")
    finally:
        said("stop")


def test_a_query_reads_and_writes_what_its_caller_may(iam: Enforcing) -> None:
    lake, role = Lake(iam.aws), iam.role()
    lake.aws = SimpleNamespace(client=iam.assumed(role))
    query = allow("athena:*", arn("athena", "workgroup/primary"))
    places = [arn("glue", one) for one in ("catalog", f"database/{lake.name}", f"table/{lake.name}/*")]
    look = allow(["glue:GetTable", "glue:GetPartitions"], places)
    root = f"arn:aws:s3:::{lake.name}"
    read = [allow("s3:ListBucket", root), allow("s3:GetObject", f"{root}/rides/day=2011-01-01/*")]
    whole = allow("s3:GetObject", f"{root}/rides/*")
    write = allow("s3:PutObject", f"{root}/results/*")
    select, insert = "SELECT count(*) FROM rides", "INSERT INTO rides SELECT 3, '2011-01-03'"
    table = denied("glue:GetTable", arn("glue", "catalog"))
    for statement, granted, words in (
        (select, [query], "Insufficient permissions to execute the query. User: "),
        (select, [query, look], f"Permission denied on S3 path: s3://{lake.name}/rides/day=2011-01-01"),
        (
            select,
            [query, look, *read],
            f"Permission denied on S3 path: s3://{lake.name}/rides/day=2011-01-02",
        ),
        (
            select,
            [query, look, *read, whole],
            f"Access denied when writing output to url: s3://{lake.name}/res",
        ),
        (
            insert,
            [query, look, *read, whole, write],
            f"Access denied when writing output to url: s3://{lake.name}/r",
        ),
    ):
        iam.grant(role, *granted)
        assert lake.why(statement).startswith(words)
    iam.grant(role, query)
    assert table in lake.why(select)
    keep = allow(["s3:PutObject"], f"{root}/rides/*")
    iam.grant(role, query, look, *read, whole, write, keep, allow("glue:BatchCreatePartition", places))
    assert lake.end(insert)["Status"]["State"] == "SUCCEEDED"
    assert lake.rows(select) == [["3"]]
