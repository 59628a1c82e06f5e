"""The one door to AWS: a session whose clients fail in words; must not know what they are used for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from mlops_kit.errors import KitError, NotReachable
from mlops_kit.settings import Settings

_DUMMY_KEY = "embedded"  # nothing checks it; a real key must never be sent to a local port by accident
_BAD_CREDENTIALS = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess"}


@dataclass(frozen=True)
class Session:
    """Where the kit works, with one client a service.

    Attributes
    ----------
    settings : Settings
        Target, region, project and folders.
    """

    settings: Settings
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str) -> Any:
        """A client of an AWS service, made once.

        Parameters
        ----------
        service : str
            boto3's name, such as ``"stepfunctions"``.

        Raises
        ------
        NotReachable
            From any call of the client: no service answers, or the credentials do not open it.
        """
        if service not in self._clients:
            self._clients[service] = _create_client(self._boto, self.settings, service)
        return self._clients[service]

    @cached_property
    def account(self) -> str:
        """The account's 12 digits, asked from AWS."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def now(self) -> datetime:
        """AWS's clock: an embedded one may stand at another day.

        An answer tells the second only: this is its end, so that whatever has happened lies before it.
        """
        headers = self.client("sts").get_caller_identity()["ResponseMetadata"]["HTTPHeaders"]
        return parsedate_to_datetime(headers["date"]).replace(microsecond=999_999)

    @cached_property
    def _boto(self) -> Any:
        return _botocore_session(self.settings)

    @property
    def where(self) -> str:
        """The target in words, such as ``embedded AWS at http://127.0.0.1:4566``."""
        settings = self.settings
        if settings.target == "local":
            return f"embedded AWS at {settings.url}"
        return f"AWS, {settings.region}" + (f", profile {settings.profile}" if settings.profile else "")

    def __repr__(self) -> str:
        return f"Session on {self.where}, project {self.settings.project}"


def session(settings: Settings | None = None) -> Session:
    """A session; nothing is asked of AWS before the first call.

    Parameters
    ----------
    settings : Settings, optional
        Default ``Settings.load()``.
    """
    return Session(settings or Settings.load())


def _botocore_session(settings: Settings) -> Any:
    """For the target ``local`` it reads neither ~/.aws nor a profile; for ``aws`` it is AWS's usual chain."""
    from botocore.configprovider import ConstantProvider
    from botocore.session import Session as BotoSession

    if settings.target == "aws":
        return BotoSession(profile=settings.profile)
    boto = BotoSession()
    store = boto.get_component("config_store")
    fixed = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull, "ca_bundle": None}
    for name, value in fixed.items():
        store.set_config_provider(name, ConstantProvider(value))
    return boto


def _create_client(boto: Any, settings: Settings, service: str) -> Any:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    options: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 4}}
    arguments: dict[str, Any] = {}
    if settings.target == "local":
        arguments = {"aws_access_key_id": _DUMMY_KEY, "aws_secret_access_key": _DUMMY_KEY}
        options = {
            "retries": {"total_max_attempts": 1},
            "proxies": {},
            "inject_host_prefix": False,
            "ignore_configured_endpoint_urls": True,
            "s3": {"addressing_style": "path"},
        }
    try:
        boto.register("creating-client-class", _speaking(settings), unique_id="mlops-kit")
        return boto.create_client(
            service,
            region_name=settings.region,
            endpoint_url=settings.url,
            config=Config(max_pool_connections=20, read_timeout=120, **options),
            **arguments,
        )
    except BotoCoreError as error:
        raise _in_words(error, settings) from None


def _speaking(settings: Settings) -> Any:
    """A hook that gives every client class a call which fails in words (botocore: creating-client-class)."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    class Speaking:
        def _make_api_call(self, operation_name: str, api_params: dict[str, Any]) -> Any:
            try:
                return super()._make_api_call(operation_name, api_params)  # type: ignore[misc]
            except (BotoCoreError, ClientError, ResponseParserError) as error:
                words = _in_words(error, settings, operation_name)
                if words is error:
                    raise
                raise words from None

    def add(base_classes: list[type], **_: Any) -> None:
        base_classes.insert(0, Speaking)

    return add


def _in_words(error: Exception, settings: Settings, operation: str = "") -> Exception:
    """A KitError where a person can mend it; the error itself where only the caller knows what it means."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    if isinstance(error, boto.ClientError):
        return _refusal(error, settings, operation)
    if isinstance(error, boto.ProfileNotFound):
        return NotReachable(
            f"The AWS configuration has no profile {settings.profile or os.environ.get('AWS_PROFILE')!r}.",
            suggestion="name one that `aws configure list-profiles` shows with --profile.",
        )
    missing = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)
    if isinstance(error, missing):
        return NotReachable(
            "No AWS credentials were found.",
            cause=str(error),
            suggestion="log in (`aws sso login`, `aws configure`) or name a profile with --profile; "
            "without AWS, work on the embedded one with --target local.",
        )
    if isinstance(error, boto.SSOError | boto.TokenRetrievalError):
        return _expired(str(error), settings)
    if isinstance(error, boto.HTTPClientError | boto.EndpointConnectionError):
        return _silent(error, settings)
    if isinstance(error, ResponseParserError):
        return NotReachable(f"What answers at {settings.url} does not speak AWS's protocols.")
    return error


def _silent(error: Exception, settings: Settings) -> KitError:
    if settings.target == "local":
        return NotReachable(
            f"No embedded AWS answers at {settings.url}.", suggestion="start it: mlops-kit local start"
        )
    return NotReachable(
        f"AWS does not answer at {settings.url or 'its endpoint in ' + settings.region}.",
        cause=str(error),
        suggestion="check the network, --region and --endpoint-url.",
    )


def _refusal(error: Any, settings: Settings, operation: str) -> Exception:
    unknown: Exception = error
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in _BAD_CREDENTIALS:
        return _expired(f"{code}: {message}", settings)
    if code in _DENIED:
        return NotReachable(
            f"AWS does not allow {operation}.",
            cause=message,
            suggestion="ask for that permission, or name another profile with --profile.",
        )
    return unknown


def _expired(cause: str, settings: Settings) -> KitError:
    profile = f" --profile {settings.profile}" if settings.profile else ""
    return NotReachable(
        "The AWS credentials have expired or are not valid.",
        cause=cause,
        suggestion=f"log in again: aws sso login{profile}",
    )
