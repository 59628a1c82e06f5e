"""One production variant: its serving process, started, found again, restarted when it dies, stopped.

Must not know what an endpoint is beyond the names in its log.
"""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_kit.local.processes import Closed, Ended, ProcessSpec
from mlops_kit.local.sagemaker import instances
from mlops_kit.local.sagemaker.failures import last_error
from mlops_kit.local.sagemaker.records import ROLE_SESSION
from mlops_kit.local.sagemaker.routes import Address
from mlops_kit.local.sagemaker.serving import LaidOut, ModelError, lay_out
from mlops_kit.local.sagemaker.transfer import Transfer
from mlops_kit.local.service import Context

_STARTUP = 240.0  # seconds: "Custom Inference Code with Hosting Services", unless the variant gives its own
_LOOK = 0.02  # seconds between two looks at a starting process
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 30.0  # seconds before a dead process starts again, doubled each time
_STEADY = 60.0  # seconds alive after which a process counts as healthy
_GRACE = 30.0  # seconds between SIGTERM and SIGKILL


class NotServing(Exception):
    """A variant does not come into service; the text is AWS's FailureReason and what was wrong."""


@dataclass(frozen=True)
class VariantSpec:
    """What a variant serves.

    Attributes
    ----------
    endpoint, region, name : str
        Whose.
    deployment : str
        Which deployment of the endpoint; part of the process's id.
    container : mapping
        Container of the model.
    instance_type : str or None
        For the memory limit.
    startup : float
        Seconds until it must answer /ping.
    role_arn : str
        Role of the model; empty when it names none.
    """

    endpoint: str
    region: str
    name: str
    deployment: str
    container: dict[str, Any]
    instance_type: str | None
    startup: float
    role_arn: str = ""

    @classmethod
    def of(cls, endpoint: str, region: str, deployment: str, variant: dict[str, Any]) -> VariantSpec:
        """The spec of a variant as a deployment's record keeps it."""
        return cls(
            endpoint=endpoint,
            region=region,
            name=variant["VariantName"],
            deployment=deployment,
            container=variant["Container"],
            instance_type=variant.get("InstanceType"),
            startup=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP),
            role_arn=variant.get("RoleArn", ""),
        )

    @property
    def process(self) -> str:
        """Id of its process."""
        return f"endpoint-{self.region}-{self.endpoint}-{self.deployment}-{self.name}"


class Variant:
    """A variant's process.

    Parameters
    ----------
    context : Context
        What the server hands out.
    spec : VariantSpec
        What it serves.
    """

    def __init__(self, context: Context, spec: VariantSpec) -> None:
        self.name = spec.name
        self.spec = spec
        self._context = context
        path = ("sagemaker", "endpoint", spec.region, spec.endpoint, spec.deployment, spec.name)
        self._folder = Path(context.state_dir).joinpath(*path)
        self._address: Address | None = None
        self._ended = threading.Event()
        self._stopping = False
        self._steady = False
        self._error = ""
        self._pause = _FIRST_PAUSE
        self._since = 0.0
        self._model: LaidOut | None = None

    @property
    def _acting(self) -> Context:
        return self._context.acting(self.spec.role_arn, ROLE_SESSION)

    @property
    def address(self) -> Address | None:
        """Where its process listens; None while there is none."""
        if self._address is None and not self._stopping:
            self._address = self._read_address()
        return self._address

    def start(self) -> None:
        """Lay the model out, start the process and wait until it answers.

        Raises
        ------
        NotServing
            It cannot be laid out, ends, or does not answer in time; it has been stopped then.
        """
        try:
            self._launch()
            self._wait()
        except (ModelError, ValueError, OSError) as error:
            self._remove()
            raise NotServing(f"The variant {self.name} could not be started: {error}") from error
        except NotServing:
            self.stop()
            raise
        self._steady = True

    def recover(self) -> None:
        """Follow the process of a former server, or start another one; returns at once."""
        self._steady = True
        self._since = time.monotonic()
        if not self._context.runner.recover(self.spec.process, self._on_end, self._on_output):
            self._forget()
            threading.Thread(target=self._restart, name=f"start {self.spec.process}", daemon=True).start()

    def stop(self) -> None:
        """Stop the process when it has answered what it is at, and remove its files; returns at once."""
        self._stopping = True
        self._address = None
        if self._ended.is_set():
            self._remove()
        self._context.runner.stop(self.spec.process, _GRACE)

    def leave(self) -> None:
        """Start it no more, because the server stops; the next one recovers it."""
        self._stopping = True

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _lay_out(self) -> LaidOut:
        """The model's files; only the first time from S3, where they may be gone when a process dies."""
        if self._model is None:
            self._remove()
            transfer = Transfer(self._acting.client("s3"))
            self._model = lay_out(self.spec.container, self._folder / "ml", self.spec.region, transfer)
        return self._model

    def _launch(self) -> None:
        model = self._lay_out()
        work = self._folder / "work"
        runner = self._context.runner
        environment = runner.base_environment(work, self._context.url, self.spec.region)
        environment["OMP_NUM_THREADS"] = "1"  # a few rows are predicted sooner than other threads wake
        self._ended.clear()
        self._since = time.monotonic()
        spec = ProcessSpec(
            id=self.spec.process,
            argv=model.command("serve", self._address_file),
            cwd=work,
            env={**environment, **self._acting.identity(), **model.env},
            memory_limit=instances.memory(self.spec.instance_type),
            on_output=self._on_output,
        )
        runner.start(spec, self._on_end)

    def _wait(self) -> None:
        deadline = time.monotonic() + self.spec.startup
        while not (self.address and _ping(self.address)):
            if self._ended.wait(_LOOK):
                raise NotServing(f"{self._no_ping()} The container exited: {self._error}")
            if time.monotonic() > deadline:
                raise NotServing(f"{self._no_ping()} It did not answer within {self.spec.startup:g} seconds.")

    def _no_ping(self) -> str:
        return (
            f"The primary container for production variant {self.name} did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
        )

    def _on_output(self, lines: list[str]) -> None:
        stream = f"{self.name}/i-{self.spec.deployment}"
        context = self._acting.within(self.spec.region)
        context.log(f"/aws/sagemaker/Endpoints/{self.spec.endpoint}", stream, lines)

    def _on_end(self, ended: Ended) -> None:
        self._error = last_error(self._context.runner.output(self.spec.process))
        self._forget()
        self._ended.set()
        if self._stopping:
            self._remove()
        elif self._steady:
            if time.monotonic() - self._since > _STEADY:
                self._pause = _FIRST_PAUSE
            self._on_output(
                [f"The container of {self.name} exited; it is started again in {self._pause:g} s."]
            )
            self._restart_later()

    def _restart_later(self) -> None:
        timer = threading.Timer(self._pause, self._restart)
        timer.daemon = True
        timer.start()
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _restart(self) -> None:
        if self._stopping:
            return
        try:
            self._launch()
        except Closed:
            return
        except (ModelError, ValueError, OSError) as error:
            self._on_output([f"The container of {self.name} could not be started: {error}"])
            self._restart_later()

    @property
    def _address_file(self) -> Path:
        return self._folder / "address.json"

    def _forget(self) -> None:
        self._address = None
        self._address_file.unlink(missing_ok=True)

    def _read_address(self) -> Address | None:
        try:
            said = json.loads(self._address_file.read_text())
        except FileNotFoundError:
            return None
        return Address(said["port"], said["secret"])


def _ping(address: Address) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
