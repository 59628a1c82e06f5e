"""The embedded AWS: time until it answers, memory and CPU when idle, beside ministack and moto_server."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import filled
from benchmarks.measure import HERE, PEERS, free_port, serve, table


def main() -> str:
    """A table with ratios to plain ministack."""
    python = str(HERE / "python")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        state = Path(folder)
        ours = [
            python,
            "-m",
            "mlops_kit.local.server",
            "--port",
            str(port),
            "--state-dir",
            str(state / "ours"),
        ]
        settings = {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        settings |= {"PERSIST_STATE": "1", "STATE_DIR": str(state / "theirs"), "S3_PERSIST": "1"}
        settings |= {"S3_DATA_DIR": str(state / "s3")}
        served = {"ministack alone": serve([str(HERE / "ministack")], url, settings)}
        served["embedded AWS"] = serve(ours, url, {})
        served["embedded AWS, second start"] = serve(ours, url, {})
        used = [*ours[:-1], str(state / "used")]
        seconds, megabytes = filled.restart(used, url)
        if (PEERS / "moto_server").exists():
            served["moto_server"] = serve([str(PEERS / "moto_server"), "-p", str(port)], url, {})
    base = served["ministack alone"]
    rows: list[tuple[object, ...]] = [
        (name, s.seconds, s.seconds / base.seconds, s.megabytes, s.megabytes / base.megabytes, s.cpu)
        for name, s in served.items()
    ]
    name = (
        f"embedded AWS, {filled.EXECUTIONS:,} finished executions, {filled.OBJECTS / 1024:.0f} GB of objects"
    )
    rows.append((name, seconds, seconds / base.seconds, megabytes, megabytes / base.megabytes, "-"))
    head = ("server", "ready after [s]", "ratio", "idle memory [MB]", "ratio", "CPU seconds in 5 s of idling")
    return table("Start of the embedded AWS", head, rows)
