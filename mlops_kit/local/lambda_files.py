"""What a Lambda worker sees of the disk and of the environment, and nothing else; must not start it.

Sources: AWS Lambda Developer Guide, "Using Lambda environment variables" (defined runtime environment
variables) and "Search path for Python runtimes".
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shutil
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlops_kit.local.service import AwsError

# What AWS's Python runtimes bring beside the standard library.
_RUNTIME_PACKAGES = (
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six"),
    *("awslambdaric", "simplejson", "snapshot_restore_py"),
)


@dataclass(frozen=True)
class Layer:
    """One attached layer version: its ARN and its zip."""

    arn: str
    code: bytes = field(repr=False)


@dataclass(frozen=True)
class Function:
    """A version of a function, as it is to be run.

    Attributes
    ----------
    name, arn, version, runtime, handler : str
        As GetFunctionConfiguration says; `arn` is without a qualifier.
    code_sha : str
        What identifies `code`.
    code : bytes
        The zip.
    layers : sequence of Layer
        In their order; a later one overwrites an earlier one's files.
    environment : mapping
        The function's own variables.
    timeout : float
        Seconds.
    memory : int
        MB.
    log_group : str
        Where its output goes.
    role_arn : str
        Its execution role.
    """

    name: str
    arn: str
    version: str
    runtime: str
    handler: str
    code_sha: str
    code: bytes = field(repr=False)
    layers: Sequence[Layer] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 3.0
    memory: int = 128
    log_group: str = ""
    role_arn: str = ""

    @property
    def fingerprint(self) -> str:
        """What a worker is made for; a change of it needs new workers."""
        parts = (
            *(self.code_sha, self.runtime, self.handler, self.memory, self.timeout, self.log_group),
            self.role_arn,
        )
        layers = [layer.arn for layer in self.layers]
        return repr((parts, layers, sorted(self.environment.items())))


class Files:
    """Unpacked functions and layers, and the one folder of libraries that AWS's runtime brings.

    Parameters
    ----------
    root : pathlib.Path
        Made when missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._guard = threading.Lock()

    def clear(self) -> None:
        """Forget what a former server unpacked; only while nothing runs."""
        shutil.rmtree(self._root, ignore_errors=True)

    def task_root(self, function: Function) -> Path:
        """The function's unpacked zip: ``/var/task``."""
        return self._unpacked("task", function.code_sha, [function.code])

    def layers_root(self, function: Function) -> Path:
        """The unpacked layers: ``/opt``."""
        return self._unpacked(
            "opt", repr([layer.arn for layer in function.layers]), [layer.code for layer in function.layers]
        )

    def site(self) -> Path:
        """A folder with links to boto3, what it needs, and AWS's runtime client."""
        site = self._root / "site"
        with self._guard:
            if not site.exists():
                site.mkdir(parents=True)
                for package in _RUNTIME_PACKAGES:
                    _link(package, site)
        return site

    def _unpacked(self, kind: str, identity: str, zips: Sequence[bytes]) -> Path:
        folder = self._root / kind / hashlib.sha256(identity.encode()).hexdigest()[:24]
        with self._guard:
            if not folder.exists():
                part = folder.with_suffix(".part")
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir(parents=True)
                for code in zips:
                    _unpack(code, part)
                part.rename(folder)
        return folder


def environment(
    function: Function, task: Path, layers: Path, stream: str, base: Mapping[str, str]
) -> dict[str, str]:
    """A worker's environment: AWS's documented variables, the function's own, and the port's address.

    Parameters
    ----------
    function : Function
        Whose worker.
    task, layers : pathlib.Path
        The unpacked code and layers.
    stream : str
        Log stream of the worker.
    base : mapping
        The runner's base environment: endpoint, region, credentials, private folders.
    """
    unreserved = {
        "LANG": "C.UTF-8",  # AWS has en_US.UTF-8, which not every machine has
        "TZ": ":UTC",
        "PATH": f"/usr/local/bin:/usr/bin:/bin:{layers}/bin",
        "LD_LIBRARY_PATH": f"{task}:{task}/lib:{layers}/lib",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }
    reserved = {
        "_HANDLER": function.handler,
        "_LAYERS_ROOT": str(layers),  # taken out again before the function's code runs
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_SESSION_TOKEN": base.get("AWS_SESSION_TOKEN", "test"),
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
    }
    shared = {name: value for name, value in base.items() if not name.startswith("PYTHON")}
    fixed = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    reserved |= {name: base[name] for name in fixed}
    return {**shared, **unreserved, **function.environment, **reserved}


def _link(package: str, site: Path) -> None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise AwsError(
            "ServiceException", f"The environment lacks {package}; reinstall mlops-kit[local].", 500
        )
    origin = Path(spec.origin)
    target = origin.parent if origin.name == "__init__.py" else origin
    (site / target.name).symlink_to(target)
    for described in target.parent.glob(f"{package}-*.dist-info"):
        (site / described.name).symlink_to(described)


def _unpack(code: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(code)) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, folder))  # zipfile drops what would lead out of the folder
            mode = member.external_attr >> 16 & 0o777
            if mode and path.is_file():
                path.chmod(mode | 0o600)
