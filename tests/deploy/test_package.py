"""What is shipped: the same sources give the same bytes, and only what is missing is uploaded."""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_kit.artifacts import Artifact, DataFile
from mlops_kit.build import template
from mlops_kit.deploy import package, wheels
from mlops_kit.deploy.aws import session
from mlops_kit.errors import DeployError, UsageError
from mlops_kit.settings import Settings

NAMES = st.text("abcxyz_", min_size=1, max_size=8)


needs_installer = pytest.mark.skipif(
    not (importlib.util.find_spec("pip") or shutil.which("uv")), reason="neither pip nor uv is installed"
)


def tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=5),
    st.sampled_from(["zip", "tar.gz", "wheel"]),
)
def test_what_is_packed_comes_out_again_and_the_same_sources_give_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], kind: str
) -> None:
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    for folder, order in ((first, sorted(files)), (second, sorted(files, reverse=True))):
        tree(folder, {name: files[name] for name in order})
        os.utime(folder / order[0], (1, 1))
    packed = [
        package.pack(Artifact("code", kind, (("pkg", folder),)), first / "cache")  # type: ignore[arg-type]
        for folder in (first, second)
    ]
    assert packed[0] == packed[1]
    if kind == "tar.gz":
        with tarfile.open(fileobj=io.BytesIO(packed[0])) as archive:
            found = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]
    else:
        with zipfile.ZipFile(io.BytesIO(packed[0])) as archive:
            found = {n: archive.read(n) for n in archive.namelist() if "dist-info" not in n}
    assert found == {f"pkg/{name}": body for name, body in files.items()}


@needs_installer
def test_a_wheel_can_be_installed(tmp_path: Path) -> None:
    source = tree(tmp_path / "src", {"__init__.py": b"ANSWER = 42\n"})
    artifact = Artifact("features", "wheel", (("features", source),))
    wheel = tmp_path / artifact.key.rpartition("/")[2]
    wheel.write_bytes(package.pack(artifact, tmp_path))
    command = [*wheels._installer(tmp_path / "site", None), "--no-index", str(wheel)]
    subprocess.run(command, check=True, timeout=60)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import features; print(features.ANSWER)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "42"


@needs_installer
def test_a_lambda_zip_carries_the_wheels_of_its_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheels come from a folder here, so that the test needs no network."""
    links = tmp_path / "links"
    links.mkdir()
    library = Artifact(
        "library", "wheel", (("library", tree(tmp_path / "lib", {"__init__.py": b"x = 1\n"})),)
    )
    (links / library.key.rpartition("/")[2]).write_bytes(package.pack(library, tmp_path))
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(links))
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    handler = tree(tmp_path / "fn", {"handler.py": b"import library\n"}) / "handler.py"
    artifact = Artifact("judge", "zip", (("handler.py", handler),), requirements=("library==0.0.0",))
    names = zipfile.ZipFile(io.BytesIO(package.pack(artifact, tmp_path / "cache"))).namelist()
    assert {"handler.py", "library/__init__.py"} <= set(names)
    (links / library.key.rpartition("/")[2]).unlink()
    assert package.pack(artifact, tmp_path / "cache"), "the second time from the cache"
    missing = Artifact("judge", "zip", (("handler.py", handler),), requirements=("library==9.9.9",))
    with pytest.raises(DeployError, match=r"No wheels for Lambda .* library==9.9.9"):
        package.pack(missing, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("draft-*"))


def test_the_wheels_are_those_of_the_runtime_that_the_template_asks_for() -> None:
    assert f"python{wheels.LAMBDA.python}" == template.LAMBDA_RUNTIME


def test_a_job_gets_its_distributions_on_aws_and_on_the_embedded_one_this_environments(
    tmp_path: Path,
) -> None:
    source = tree(tmp_path / "src", {"__init__.py": b"ANSWER = 42\n"})
    needs = ("stepfunctions==2.3.0",)  # has no wheel: copied from here, and alone
    site = Artifact("site", "site", (("features", source),), needs)
    assert site.key.endswith(".zip")
    names = {
        embedded: zipfile.ZipFile(
            io.BytesIO(package.pack(site, tmp_path / "cache", embedded=embedded))
        ).namelist()
        for embedded in (True, False)
    }
    assert names[True] == ["features/__init__.py"]
    assert {"features/__init__.py", "stepfunctions/__init__.py"} <= set(names[False])
    assert not any(name.startswith("sagemaker/") for name in names[False])


def test_a_lambda_package_over_the_limit_is_refused_and_names_its_largest_parts(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.mkdir()
    with (big / "model.bin").open("wb") as file:
        file.truncate(package.LAMBDA_LIMIT + 1)
    with pytest.raises(UsageError, match=r"'fat' is 250.0 MB unpacked(.|\n)*largest parts: data 250.0 MB"):
        package.pack(Artifact("fat", "zip", (("data", big),)), tmp_path)


def test_only_what_is_missing_is_uploaded_and_data_is_never_overwritten(tmp_path: Path, aws) -> None:  # type: ignore[no-untyped-def]
    where = session(Settings(endpoint_url=aws.url, state_dir=tmp_path))
    s3 = where.client("s3")
    s3.create_bucket(Bucket="shipping", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    script = tree(tmp_path / "src", {"job.py": b"print(1)\n"}) / "job.py"
    artifact = Artifact("job", "file", (("job.py", script),))
    lines: list[str] = []
    assert package.publish(where, "shipping", [artifact, artifact], lines.append) == 1
    assert package.publish(where, "shipping", [artifact], lines.append) == 0
    assert lines == ["uploaded job (9 bytes)"]
    assert s3.get_object(Bucket="shipping", Key=artifact.key)["Body"].read() == b"print(1)\n"
    data = DataFile("raw/job.py", script)
    assert package.put_data(where, "shipping", [data]) == 1
    script.write_bytes(b"changed\n")
    assert package.put_data(where, "shipping", [data]) == 0
    assert s3.get_object(Bucket="shipping", Key="raw/job.py")["Body"].read() == b"print(1)\n"
    with pytest.raises(UsageError, match=r"nowhere\.csv does not exist"):
        package.put_data(where, "shipping", [DataFile("raw/x", tmp_path / "nowhere.csv")])


def test_the_embedded_lambda_gets_what_this_environment_has_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
    wanted = [f"{name}=={version(name)}" for name in ("jinja2",)]
    names = {name for name, _ in wheels.unpacked(wanted, tmp_path, embedded=True)}
    assert {"jinja2/__init__.py", "markupsafe/__init__.py"} <= names, "with what it needs"
    with pytest.raises(DeployError):
        list(wheels.unpacked(["jinja2==0.0.1"], tmp_path, embedded=True))
