"""Paths, archives, requirements, instances: the small rules that jobs stand on."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_kit.local.sagemaker import archives, instances, local_paths, requirements
from mlops_kit.local.sagemaker.images import known_image
from mlops_kit.local.sagemaker.metrics import Observation, Scraper
from mlops_kit.local.sagemaker.routes import Address, Route, choose
from mlops_kit.local.service import AwsError

BASE = Path("/jobs/one/ml")


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("/opt/ml/processing/input", "/jobs/one/ml/processing/input"),
        ("--output=/opt/ml/output/data", "--output=/jobs/one/ml/output/data"),
        ('{"a": "/opt/ml"}', '{"a": "/jobs/one/ml"}'),
        ("file:///opt/ml/model/code", "/jobs/one/ml/model/code"),
        ("/opt/ml/a:/opt/ml/b", "/jobs/one/ml/a:/jobs/one/ml/b"),
        ("s3://bucket/opt/ml/x", "s3://bucket/opt/ml/x"),
        ("/opt/mlflow/x", "/opt/mlflow/x"),
        ("/home/opt/ml", "/home/opt/ml"),
    ],
)
def test_container_paths_point_into_the_job(text: str, local: str) -> None:
    assert local_paths.localise(text, BASE) == local


def test_a_containers_python_is_this_one() -> None:
    for program in ("python", "python3", "python3.9", "/miniconda3/bin/python"):
        assert local_paths.command([program, "/opt/ml/x.py"], [], BASE) == [sys.executable, f"{BASE}/x.py"]
    assert local_paths.command(["/bin/bash"], ["a"], BASE) == ["/bin/bash", "a"]


def test_local_paths_stay_inside() -> None:
    for path in ("/etc/passwd", "/opt/ml/../../etc", "relative", "/opt/mlx"):
        with pytest.raises(AwsError):
            local_paths.local_path(path, BASE)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.binary(max_size=50), max_size=5
    )
)
def test_what_is_packed_unpacks(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    root = tmp_path_factory.mktemp("pack")
    source = root / "source"
    source.mkdir()
    files = {name: data for name, data in files.items() if not any(f"{name}/" in other for other in files)}
    for name, data in files.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(data)
    archives.unpack(archives.pack(source, root / "a.tar.gz"), root / "target")
    found = {
        str(p.relative_to(root / "target")): p.read_bytes()
        for p in (root / "target").rglob("*")
        if p.is_file()
    }
    assert found == files


@pytest.mark.parametrize("kind", ["path", "link", "device", "damaged", "bomb"])
def test_bad_archives_are_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("../outside" if kind == "path" else "member")
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        elif kind == "device":
            member.type = tarfile.CHRTYPE
        member.size = 2000 if kind == "bomb" else 0
        tar.addfile(member, io.BytesIO(bytes(2000)))
    if kind == "damaged":
        path.write_bytes(path.read_bytes()[:30])
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with pytest.raises(archives.ArchiveError):
        archives.unpack(path, tmp_path / "target")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("line", "satisfied"),
    [
        ("numpy", True),
        ("numpy>=1 # why", True),
        ("--index-url https://example.invalid", True),
        ("surely-missing; python_version < '3'", True),
        ("numpy<1", False),
        ("surely-missing", False),
        ("-e .", False),
        ("no such line!", False),
    ],
)
def test_requirements_are_checked_line_by_line(line: str, satisfied: bool, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(f"# first\n\n{line}\n")
    (tmp_path / "requirements.txt").write_text("-r more.txt\n")
    if satisfied:
        requirements.check(tmp_path / "requirements.txt")
    else:
        with pytest.raises(requirements.RequirementsError):
            requirements.check(tmp_path / "requirements.txt")


def test_requirements_that_include_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r requirements.txt\nnumpy\n")
    requirements.check(tmp_path / "requirements.txt")


@pytest.mark.parametrize(
    ("instance", "gib"),
    [("ml.m5.large", 8), ("ml.m5.4xlarge", 64), ("ml.c5.2xlarge", 16), ("ml.t3.medium", 4)],
)
def test_memory_follows_the_instance_type(instance: str, gib: int) -> None:
    assert instances.memory(instance) == gib << 30
    assert instances.memory("local") is None


def test_images_are_recognised_by_their_repository() -> None:
    for account in ("683313688378", "141502667606"):
        uri = f"{account}.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-cpu-py3"
        assert known_image(uri).framework == "sklearn"
    for uri in (
        "sagemaker-scikit-learn",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com/not-sagemaker-scikit-learn:1",
    ):
        with pytest.raises(AwsError, match="does not know the image"):
            known_image(uri)


def test_an_image_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AwsError, match="needs xgboost"):
        known_image("683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1")


def test_metrics_are_the_first_group_and_only_numbers() -> None:
    scraper = Scraper([{"Name": "a", "Regex": r"a=(\S+)"}, {"Name": "b", "Regex": r"\d+\.\d+"}])
    assert scraper.observe(["a=1 a=x", "a=2.5e-1"]) == [
        Observation("a", 1.0),
        Observation("a", 0.25),
        Observation("b", 2.5),
    ]
    with pytest.raises(AwsError, match="Invalid regex"):
        Scraper([{"Name": "a", "Regex": "("}])


class _Target:
    def __init__(self, name: str) -> None:
        self.name = name
        self.address: Address | None = None


def test_traffic_follows_weights() -> None:
    routes = [Route(_Target("a"), 1.0), Route(_Target("b"), 3.0), Route(_Target("c"), 0.0)]
    names = [chosen.name for _ in range(2000) if (chosen := choose(routes, None))]
    assert "c" not in names and 0.65 < names.count("b") / len(names) < 0.85
    assert choose(routes, "z") is None
