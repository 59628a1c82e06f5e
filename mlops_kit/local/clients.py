"""Clients of the embedded AWS for its own threads and tests; must not read real credentials or config."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from mlops_kit.local import models

if TYPE_CHECKING:
    from mlops_kit.local.authorization import Credentials

_lock = threading.Lock()
_clients: dict[tuple[str, str, str, Credentials | None], Any] = {}
_MOST = 500
_KEY = "embedded"  # nothing checks it; a real key must never be sent to a local port by accident


def client(url: str, region: str, service: str, credentials: Credentials | None = None) -> Any:
    """A botocore client, cached by endpoint, region, service and caller; safe to share between threads.

    Parameters
    ----------
    url : str
        ``http://127.0.0.1:<port>``.
    region : str
        Region to sign for.
    service : str
        botocore's service name.
    credentials : Credentials, optional
        Of the role that calls; the account's administrator without.
    """
    key = (url, region, service, credentials)
    with _lock:  # botocore's session is not thread-safe
        if key not in _clients:
            _clients[key] = _create(*key)
            if credentials and len(_clients) > _MOST:  # sessions of roles come and go
                del _clients[next(key for key in _clients if key[3] is not None)]
        return _clients[key]


def being_made() -> bool:
    """Whether a thread makes a client or waits for one, which takes a tenth of a second and more."""
    return _lock.locked()


def forget(url: str) -> None:
    """Drop the clients of an endpoint, with their connections."""
    with _lock:
        for key in [key for key in _clients if key[0] == url]:
            _clients.pop(key).close()


def _create(url: str, region: str, service: str, credentials: Credentials | None) -> Any:
    from botocore.config import Config

    config = Config(
        retries={"total_max_attempts": 1},
        max_pool_connections=50,
        connect_timeout=5,
        read_timeout=960,  # a Lambda function may take 900 s
        inject_host_prefix=False,
        ignore_configured_endpoint_urls=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        disable_request_compression=True,
        proxies={},
        s3={"addressing_style": "path"},
    )
    return _session().create_client(
        service,
        region_name=region,
        endpoint_url=url,
        aws_access_key_id=credentials.access_key if credentials else _KEY,
        aws_secret_access_key=credentials.secret_key if credentials else _KEY,
        aws_session_token=credentials.token if credentials else None,
        config=config,
    )


def _session() -> Any:
    from botocore.configprovider import ConstantProvider
    from botocore.session import Session

    session = Session()
    store = session.get_component("config_store")
    fixed = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull, "ca_bundle": None}
    for name, value in fixed.items():
        store.set_config_provider(name, ConstantProvider(value))
    session.register_component("data_loader", models.loader())
    return session
