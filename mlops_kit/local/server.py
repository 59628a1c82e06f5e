"""The embedded AWS as one process on one loopback port: guard, our services, ministack.

Only puts the parts together and takes them apart in order; must not know what a service does.
Run it with ``python -m mlops_kit.local.server --port N --state-dir DIR [--at ISO] [--region R]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_kit.errors import KitError
from mlops_kit.local.state_folder import StateFolder

logger = logging.getLogger(__name__)

_LINGER = 3.0  # seconds that threads have to end after everything is saved
_THREADS = 64  # handlers that wait, such as long polls, hold one each


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean stop, 1 or 2 with words on standard error."""
    options = _options(arguments)
    folder = StateFolder(Path(options.state_dir).resolve())
    try:
        with folder.owned(), _listen(options.port) as listener:
            _scrub_environment(folder, listener.getsockname()[1], options.region)
            asyncio.run(_serve(folder, listener, options))
    except KitError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlops_kit.local.server", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="0 takes a free one")
    parser.add_argument("--state-dir", required=True)
    parser.add_argument("--at", help="where the embedded clock starts, ISO 8601")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--enforce-iam", action="store_true", help="hold roles to their policies")
    return parser.parse_args(arguments)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise KitError(
            f"Port {port} of 127.0.0.1 cannot be used.",
            cause=str(error),
            suggestion="stop what listens there, or choose another with --port.",
        ) from error
    return listener


def _scrub_environment(folder: StateFolder, port: int, region: str) -> None:
    """Forget the caller's environment: children inherit this one, and real credentials must not be in it."""
    from mlops_kit.local import ministack

    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        LANG="C.UTF-8",
        HOME=str(folder.home),
        TMPDIR=str(folder.home),
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106  (nothing checks it)
        AWS_REGION=region,
        AWS_DEFAULT_REGION=region,
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )
    os.environ.update(ministack.environment(folder, port, region))


async def _serve(folder: StateFolder, listener: socket.socket, options: argparse.Namespace) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from mlops_kit.local.control import ADVANCE
    from mlops_kit.local.guard import Guard
    from mlops_kit.local.house import House
    from mlops_kit.local.limits import Limits

    loop = asyncio.get_running_loop()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    offset = _clock_offset(folder, options.at)
    house = House(folder, url, options.region, offset, options.enforce_iam)
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    house.attach(loop, ThreadPoolExecutor(_THREADS, "service"))
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1.0
    config.include_server_header = False
    config.loglevel = "WARNING"

    async def until_stopped() -> None:
        await house.start()
        folder.announce(url)
        print(json.dumps({"url": url, "pid": os.getpid()}), flush=True)
        await stopping.wait()
        await house.rest()

    try:
        guarded: Any = Guard(Limits(house.app), house.health, {ADVANCE: house.advancing})
        await serve(guarded, config, shutdown_trigger=until_stopped)
    finally:
        await house.close()
        last = threading.Timer(
            _LINGER, os._exit, (0,)
        )  # all is on disk: a thread that waits must not keep us
        last.daemon = True
        last.start()


def _clock_offset(folder: StateFolder, at: str | None) -> float:
    """Where the clock goes on: it never goes back behind what the state has seen."""
    from mlops_kit.local.control import moment

    now = datetime.now(UTC).timestamp()
    known = folder.clock_offset()
    wanted = moment(at).timestamp() - now if at else 0.0
    if known is None:
        return wanted
    if at and wanted > known:
        return wanted
    if at:
        logger.warning("the embedded clock goes on where it was, which is later than %s", at)
    return known


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("mlops_kit").setLevel(logging.INFO)
    sys.exit(main())
