"""Athena runs queries for real: results where it says, each failure with a reason, nothing of the host."""

from __future__ import annotations

import csv
import io
import time
import uuid
from typing import Any
from urllib.parse import urlparse

import duckdb
import pytest

from tests.local.stepfunctions import walk

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range < b.range"


def _text_table(columns: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "Columns": [{"Name": name, "Type": kind} for name, kind in columns],
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "Parameters": {"field.delim": ","},
        },
    }


class Lake:
    """A database over a bucket, with the tables `hours` (CSV) and `rides` (Parquet, by day)."""

    def __init__(self, aws: Any) -> None:
        self.aws, self.name = aws, f"lake{uuid.uuid4().hex[:8]}"
        s3, glue = aws.client("s3"), aws.client("glue")
        s3.create_bucket(Bucket=self.name)
        glue.create_database(DatabaseInput={"Name": self.name})
        s3.put_object(Bucket=self.name, Key="hours/a.csv", Body=b"hour,count\n0,16\n1,40\n")
        storage: dict[str, Any] = _text_table([("hour", "int"), ("count", "bigint")])
        storage["Location"] = f"s3://{self.name}/hours/"
        told: dict[str, Any] = {
            "Name": "hours",
            "StorageDescriptor": storage,
            "Parameters": {"skip.header.line.count": "1"},
        }
        glue.create_table(DatabaseName=self.name, TableInput=told)
        for day in ("2011-01-01", "2011-01-02"):
            s3.put_object(Bucket=self.name, Key=f"rides/day={day}/0.parquet", Body=_parquet(int(day[-1])))
        parquet: dict[str, Any] = {
            "Columns": [{"Name": "rides", "Type": "int"}],
            "Location": f"s3://{self.name}/rides/",
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
            },
        }
        keys = [{"Name": "day", "Type": "string"}]
        told = {"Name": "rides", "StorageDescriptor": parquet, "PartitionKeys": keys}
        glue.create_table(DatabaseName=self.name, TableInput=told)
        self.end("MSCK REPAIR TABLE rides")
        glue.create_table(DatabaseName=self.name, TableInput={"Name": "seen", "TableType": "VIRTUAL_VIEW"})

    def start(self, query: str, where: str = "results/") -> str:
        answer = self.aws.client("athena").start_query_execution(
            QueryString=query,
            QueryExecutionContext={"Database": self.name},
            ResultConfiguration={"OutputLocation": f"s3://{self.name}/{where}"},
        )
        return str(answer["QueryExecutionId"])

    def end(self, query: str, where: str = "results/") -> dict[str, Any]:
        """The query's description once it has ended."""
        athena, execution = self.aws.client("athena"), self.start(query, where)
        deadline = time.monotonic() + 20
        while True:
            shown = athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
            if shown["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return dict(shown)
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def rows(self, query: str) -> list[list[str | None]]:
        """What a SELECT gives, without the header."""
        shown = self.end(query)
        assert shown["Status"]["State"] == "SUCCEEDED", shown["Status"]
        found = self.aws.client("athena").get_query_results(QueryExecutionId=shown["QueryExecutionId"])
        rows = found["ResultSet"]["Rows"][1 if shown["StatementType"] == "DML" else 0 :]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]

    def why(self, query: str) -> str:
        """Why a query fails."""
        shown = self.end(query)
        assert shown["Status"]["State"] == "FAILED"
        return str(shown["Status"]["StateChangeReason"])

    def object(self, uri: str) -> bytes:
        parsed = urlparse(uri)
        body = self.aws.client("s3").get_object(Bucket=parsed.netloc, Key=parsed.path[1:])["Body"].read()
        return bytes(body)


def _parquet(rides: int) -> bytes:
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "x.parquet"
        duckdb.connect().execute(f"COPY (SELECT {rides}::INTEGER AS rides) TO '{path}' (FORMAT parquet)")
        return path.read_bytes()


@pytest.fixture(scope="module")
def lake(aws: Any) -> Lake:
    return Lake(aws)


@pytest.mark.parametrize("where", ["results/", "results", ""])
def test_the_result_lies_where_it_is_said_to_lie_with_its_metadata(lake: Lake, where: str) -> None:
    shown = lake.end(
        "SELECT hour, count, NULL AS nothing, 'say \"hi\"' AS words FROM hours ORDER BY 1", where
    )
    location = shown["ResultConfiguration"]["OutputLocation"]
    folder = f"s3://{lake.name}/" + (f"{where.rstrip('/')}/" if where else "")
    assert location == f"{folder}{shown['QueryExecutionId']}.csv"
    text = lake.object(location).decode()
    assert text.splitlines()[1] == '"0","16",,"say ""hi"""'
    assert next(csv.reader(io.StringIO(text))) == ["hour", "count", "nothing", "words"]
    assert b'"bigint"' in lake.object(f"{location}.metadata")


def test_csv_and_parquet_tables_and_partitions_are_read(lake: Lake) -> None:
    assert lake.rows("SELECT sum(count), avg(count), count(*), 7/2 FROM hours") == [["56", "28.0", "2", "3"]]
    assert lake.rows("SELECT rides FROM rides WHERE day = '2011-01-02'") == [["2"]]
    joined = (
        f'SELECT r.day, h.count FROM rides r, "awsdatacatalog"."{lake.name}".hours h WHERE h.hour = r.rides'
    )
    assert lake.rows(joined) == [["2011-01-01", "40"]]
    assert lake.rows("SELECT approx_distinct(day) FROM rides") == [["2"]]
    assert lake.rows("SELECT is_nan(nan()), is_infinite(infinity())") == [["true", "true"]]
    assert lake.rows("SELECT timestamp '2011-01-01 02:00:00', 1e9, true") == [
        ["2011-01-01 02:00:00.000", "1.0E9", "true"]
    ]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_csv('/proc/self/environ')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT count(*) FROM read_blob('s3://../../../../etc/passwd')",
        "CREATE TABLE stolen AS SELECT * FROM read_text('/etc/hostname')",
        "UNLOAD (SELECT * FROM read_text('/etc/hostname')) TO 's3://x/y/' WITH (format = 'JSON')",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "ATTACH '/tmp/x.db' AS x",
        "INSTALL httpfs",
        "SET enable_external_access = true",
    ],
)
def test_sql_that_reaches_for_the_host_is_refused(lake: Lake, query: str) -> None:
    why = lake.why(query)
    assert why.startswith(("PERMISSION_DENIED: ", "NOT_SUPPORTED: ")), why


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT * FROM nope", "TABLE_NOT_FOUND: Table 'awsdatacatalog.{db}.nope' does not exist"),
        ("SELECT nope FROM hours", "COLUMN_NOT_FOUND: Column 'nope' cannot be resolved"),
        ("SELECT nope(1)", "FUNCTION_NOT_FOUND: Function 'nope' not registered"),
        ("SELEC 1", "SYNTAX_ERROR: "),
        ("SELECT 1; SELECT 2", "SYNTAX_ERROR: Only one sql statement is allowed"),
        ("SELECT CAST('x' AS int)", "INVALID_CAST_ARGUMENT: "),
        ("DELETE FROM hours", "NOT_SUPPORTED: "),
        ("CREATE VIEW v AS SELECT 1 AS a", "NOT_SUPPORTED: "),
        ("CREATE TABLE t WITH (bucket_count = 3) AS SELECT 1 AS a", "NOT_SUPPORTED: "),
        ("CREATE TABLE t WITH (format = 'ORC') AS SELECT 1 AS a", "NOT_SUPPORTED: "),
        ("ALTER TABLE hours SET LOCATION 's3://x/'", "NOT_SUPPORTED: "),
        ("INSERT INTO nope SELECT 1", "TABLE_NOT_FOUND: "),
        ("SHOW PARTITIONS nope", "TABLE_NOT_FOUND: "),
        ("SELECT * FROM seen", "NOT_SUPPORTED: "),
    ],
)
def test_a_query_that_cannot_run_fails_with_a_reason(lake: Lake, query: str, words: str) -> None:
    assert lake.why(query).startswith(words.replace("{db}", lake.name))


def test_an_objects_name_cannot_make_a_query_write_on_the_host(lake: Lake, tmp_path: Any) -> None:
    lake.aws.client("s3").put_object(Bucket=lake.name, Key=f"odd/{tmp_path}/evil", Body=b"1\n")
    storage = {**_text_table([("a", "int")]), "Location": f"s3://{lake.name}/odd/"}
    lake.aws.client("glue").create_table(
        DatabaseName=lake.name, TableInput={"Name": "odd", "StorageDescriptor": storage}
    )
    assert lake.rows("SELECT count(*) FROM odd") == [["0"]]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["PARQUET", "TEXTFILE", "JSON"])
def test_a_table_made_from_a_query_is_partitioned_read_and_added_to(lake: Lake, kind: str) -> None:
    name = f"made_{kind.lower()}"
    shown = lake.end(
        f"CREATE TABLE {name} WITH (format = '{kind}', external_location = 's3://{lake.name}/{name}/', "
        "partitioned_by = ARRAY['day']) AS SELECT sum(rides) AS total, day FROM rides GROUP BY day"
    )
    assert shown["Status"]["State"] == "SUCCEEDED", shown["Status"]
    written = lake.object(shown["Statistics"]["DataManifestLocation"]).decode().split()
    assert len(written) == 2
    assert all(uri.startswith(f"s3://{lake.name}/{name}/day=2011-01-0") for uri in written)
    assert lake.rows(f"SHOW PARTITIONS {name}") == [["day=2011-01-01"], ["day=2011-01-02"]]
    table = lake.aws.client("glue").get_table(DatabaseName=lake.name, Name=name)["Table"]
    assert table["StorageDescriptor"]["Columns"] == [{"Name": "total", "Type": "bigint"}]
    lake.rows(f"INSERT INTO {name} SELECT 9, '2011-01-03'")
    lake.rows(f"INSERT INTO {name} (day, total) VALUES ('2011-01-03', 8)")
    assert lake.rows(f"SELECT total, day FROM {name} ORDER BY 2, 1") == [
        ["1", "2011-01-01"],
        ["2", "2011-01-02"],
        ["8", "2011-01-03"],
        ["9", "2011-01-03"],
    ]
    assert "TABLE_ALREADY_EXISTS" in lake.why(f"CREATE TABLE {name} AS SELECT 1 AS a")
    taken = f"CREATE TABLE other WITH (external_location = 's3://{lake.name}/{name}/') AS SELECT 1 AS a"
    assert "HIVE_PATH_ALREADY_EXISTS" in lake.why(taken)


def test_unload_writes_objects_and_says_which(lake: Lake) -> None:
    place = f"s3://{lake.name}/unloaded/"
    shown = lake.end(f"UNLOAD (SELECT hour, count FROM hours ORDER BY 1) TO '{place}' WITH (format = 'JSON')")
    assert shown["Status"]["State"] == "SUCCEEDED", shown["Status"]
    (uri,) = lake.object(shown["Statistics"]["DataManifestLocation"]).decode().split()
    assert uri.startswith(place)
    assert lake.object(uri).decode().splitlines()[0] == '{"hour":0,"count":16}'


def test_the_catalogue_can_be_asked(lake: Lake) -> None:
    assert lake.rows("SHOW PARTITIONS rides") == [["day=2011-01-01"], ["day=2011-01-02"]]
    assert ["hours"] in lake.rows("SHOW TABLES")
    assert lake.rows("DESCRIBE hours") == [["hour", "int", ""], ["count", "bigint", ""]]


def test_only_partitions_that_the_catalogue_knows_are_read(lake: Lake) -> None:
    lake.rows(
        f"CREATE EXTERNAL TABLE late (n int) PARTITIONED BY (day string) ROW FORMAT DELIMITED "
        f"FIELDS TERMINATED BY ',' LOCATION 's3://{lake.name}/late/'"
    )
    for key, body in (("late/day=1/a", b"1\n"), ("elsewhere/a", b"2\n")):
        lake.aws.client("s3").put_object(Bucket=lake.name, Key=key, Body=body)
    assert lake.rows("SELECT count(*) FROM late") == [["0"]]
    lake.rows("MSCK REPAIR TABLE late")
    lake.rows(f"ALTER TABLE late ADD PARTITION (day = '2') LOCATION 's3://{lake.name}/elsewhere/'")
    assert lake.rows("SELECT n, day FROM late ORDER BY n") == [["1", "1"], ["2", "2"]]
    assert "AlreadyExistsException" in lake.why("ALTER TABLE late ADD PARTITION (day = '2')")
    lake.rows("ALTER TABLE late ADD IF NOT EXISTS PARTITION (day = '2')")


def test_an_unknown_workgroup_is_refused_and_one_that_enforces_its_place_is_obeyed(lake: Lake) -> None:
    athena = lake.aws.client("athena")
    with pytest.raises(athena.exceptions.InvalidRequestException, match="WorkGroup nope is not found"):
        athena.start_query_execution(QueryString="SELECT 1", WorkGroup="nope")
    place = {"OutputLocation": f"s3://{lake.name}/group"}
    configuration = {"EnforceWorkGroupConfiguration": True, "ResultConfiguration": place}
    athena.create_work_group(Name=lake.name, Configuration=configuration)
    own = {"OutputLocation": f"s3://{lake.name}/own/"}
    started = athena.start_query_execution(
        QueryString="SELECT 1", WorkGroup=lake.name, ResultConfiguration=own
    )
    shown = athena.get_query_execution(**{"QueryExecutionId": started["QueryExecutionId"]})["QueryExecution"]
    assert shown["ResultConfiguration"]["OutputLocation"].startswith(f"{place['OutputLocation']}/")


def test_stopped_queries_stop_whenever_that_comes_and_make_room_for_others(lake: Lake) -> None:
    athena = lake.aws.client("athena")
    stopped = []
    for number in range(6):  # more than run at once: one that went on would leave no place for the last query
        stopped.append(lake.start(ENDLESS))
        time.sleep(0.03 * number)
        athena.stop_query_execution(QueryExecutionId=stopped[-1])
    assert lake.rows("SELECT 1") == [["1"]]
    for execution in stopped:
        shown = athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
        assert shown["Status"]["State"] == "CANCELLED"


def test_more_queries_than_run_at_once_wait_in_the_queue(lake: Lake) -> None:
    athena = lake.aws.client("athena")
    started = [lake.start(ENDLESS) for _ in range(5)]
    shown = athena.batch_get_query_execution(QueryExecutionIds=started)["QueryExecutions"]
    states = sorted(execution["Status"]["State"] for execution in shown)
    for execution in started:
        athena.stop_query_execution(QueryExecutionId=execution)
    assert states == ["QUEUED", *["RUNNING"] * 4]
    assert lake.rows("SELECT 1") == [["1"]]


def _query(lake: Lake, query: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::athena:startQueryExecution.sync",
        "Parameters": {
            "QueryString": query,
            "QueryExecutionContext": {"Database": lake.name},
            "ResultConfiguration": {"OutputLocation": f"s3://{lake.name}/results/"},
        },
    }


def test_a_workflow_runs_a_query_and_reads_its_result(lake: Lake) -> None:
    results = {
        "Type": "Task",
        "Resource": "arn:aws:states:::athena:getQueryResults",
        "Parameters": {"QueryExecutionId.$": "$.QueryExecution.QueryExecutionId"},
        "OutputPath": "$.ResultSet.Rows",
    }
    query = _query(lake, "SELECT hour FROM hours WHERE count = 40")
    shown = walk.run(lake.aws, walk.states(("Query", query), ("Results", results)))
    assert shown["output"] == [{"Data": [{"VarCharValue": word}]} for word in ("hour", "1")]


def test_a_workflow_hears_why_its_query_failed(lake: Lake) -> None:
    shown = walk.run(lake.aws, walk.states(("Query", _query(lake, "SELECT * FROM read_text('/etc/passwd')"))))
    assert shown["error"] == "States.TaskFailed"
    assert "PERMISSION_DENIED" in shown["cause"]


def test_a_query_that_a_kill_took_along_has_failed(fresh_aws: Any) -> None:
    lake = Lake(fresh_aws)
    walk.settle(fresh_aws)
    execution = lake.start(
        "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range < b.range"
    )
    time.sleep(1.5)  # other services are saved half a second after a change
    fresh_aws.kill()
    fresh_aws.start()
    shown = fresh_aws.client("athena").get_query_execution(QueryExecutionId=execution)["QueryExecution"]
    assert shown["Status"]["State"] == "FAILED"
    assert "stopped while the query ran" in shown["Status"]["StateChangeReason"]


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("1e-4", "1.0E-4"),
        ("12345678.5e0", "1.23456785E7"),
        ("-1e10", "-1.0E10"),
        ("0.1e0", "0.1"),
        ("CAST('NaN' AS double)", "NaN"),
        ("CAST(1.50 AS decimal(10,2))", "1.50"),
        ("date '2011-01-02'", "2011-01-02"),
        ("from_iso8601_timestamp('2011-01-02T03:04:05Z')", "2011-01-02 03:04:05.000 UTC"),
        ("ARRAY[1, NULL, 3]", "[1, null, 3]"),
        ("CAST('ab' AS varbinary)", "61 62"),
        ("to_unixtime(timestamp '1970-01-01 00:01:00')", "60.0"),
        ("date_format(timestamp '2011-01-02 03:04:05', '%Y-%m-%d %H:%i:%s')", "2011-01-02 03:04:05"),
        ("regexp_like('season', '^sea')", "true"),
        ("json_extract_scalar('{\"a\": {\"b\": 3}}', '$.a.b')", "3"),
        ("array_join(ARRAY['a', 'b'], '-')", "a-b"),
        ("split_part('a-b', '-', 2)", "b"),
        ("element_at(MAP(ARRAY['k'], ARRAY[7]), 'k')", "7"),
        ("element_at(ARRAY[4, 5], 2)", "5"),
    ],
)
def test_values_are_written_as_athena_writes_them(lake: Lake, expression: str, shown: str) -> None:
    assert lake.rows(f"SELECT {expression} AS x") == [[shown]]
