"""Runs a notebook inside a SageMaker processing job, by papermill; must not know what the notebook is about.

What it needs (papermill, the kit, the pipelines) comes as a zip from S3 and goes onto the Python path:
nothing is fetched from a registry. The executed notebook and its HTML are the job's output; those of a failed
one are put into S3 here, for SageMaker need not upload a failed job's. Why it failed is the exit message.

Sources: SageMaker Developer Guide, "How Amazon SageMaker Processing Configures Your Processing Container".
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
MESSAGE_LIMIT = 1000  # characters of an exit message that SageMaker keeps: a little less than its 1 KB


def main() -> int:
    """Run the notebook that came with this script."""
    given = _arguments()
    work = Path(tempfile.mkdtemp())
    _use(BASE / "processing" / "input" / "site", work / "site")
    _configure(given, work)
    notebook = work / given.notebook
    with zipfile.ZipFile(sys.argv[0]) as code:
        notebook.write_bytes(code.read(given.notebook))
    parameters = json.loads("".join(piece[1:] for piece in given.parameters) or "{}")
    problem = _run(notebook, parameters, work / "runs")
    results = _results(work / "runs", BASE / "processing" / "output", notebook.stem)
    if problem is None:
        return 0
    _put(results, given.uri)
    message = BASE / "output" / "message"
    message.parent.mkdir(parents=True, exist_ok=True)
    message.write_text(problem[:MESSAGE_LIMIT])
    print(problem, file=sys.stderr)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("notebook", "project", "region", "uri"):
        parser.add_argument(f"--{name}", required=True)
    # JSON in pieces, each after a mark: an argument takes 256 characters, and one that begins with - is none
    parser.add_argument("--parameters", nargs="*", default=[])
    return parser.parse_args()


def _use(archives: Path, folder: Path) -> None:
    """Put the packages that came along before the image's own, here and in the notebook's kernel."""
    for archive in archives.glob("*.zip"):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["JUPYTER_PATH"] = str(folder / "share" / "jupyter")


def _configure(given: argparse.Namespace, work: Path) -> None:
    """Let ``kit.session()`` in the notebook work where the job runs."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    os.environ["MLOPS_KIT_TARGET"] = "local" if endpoint else "aws"
    if endpoint:
        os.environ["MLOPS_KIT_ENDPOINT_URL"] = endpoint
    os.environ["MLOPS_KIT_PROJECT"], os.environ["MLOPS_KIT_REGION"] = given.project, given.region
    os.environ["MLOPS_KIT_STATE_DIR"] = str(work / "state")
    os.environ.setdefault("AWS_DEFAULT_REGION", given.region)


def _run(notebook: Path, parameters: Mapping[str, object], folder: Path) -> str | None:
    """Run it, its output into the job's log; what went wrong, or nothing."""
    from mlops_kit import notebooks
    from mlops_kit.errors import KitError

    try:
        notebooks.run(notebook, parameters, folder, log=lambda line: print(line, flush=True))
    except KitError as error:
        return " ".join(f"{error.message} {error.cause or ''}".split())
    except Exception as error:  # whatever it is (a kernel that died), the exit message must say so
        return " ".join(f"{notebook.name}: {type(error).__name__}: {error}".split())
    return None


def _results(runs: Path, output: Path, stem: str) -> list[Path]:
    """The executed notebook and its HTML, as far as there are any, among the job's outputs."""
    from mlops_kit import notebooks

    output.mkdir(parents=True, exist_ok=True)
    for copy in runs.glob("*.ipynb"):
        executed = copy.replace(output / f"{stem}.ipynb")
        return [executed, notebooks.html(executed)]
    return []


def _put(files: list[Path], uri: str) -> None:
    import boto3

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    for file in files:
        boto3.client("s3").upload_file(str(file), bucket, prefix + file.name)


if __name__ == "__main__":
    sys.exit(main())
