"""Sign calls with AWS Signature Version 4, with credentials from the usual chain."""

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from ninjaone_connect import environment
from ninjaone_connect.calls import Call
from ninjaone_connect.errors import ConnectError, LoginExpired, NoCredentials, NotSent, WrongRegion

SERVICE = "execute-api"
_ENDPOINT = re.compile(r"[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "UnauthorizedException"}
_LOGINS = {"LoginError": "aws login", "SSOError": "aws sso login", "TokenRetrievalError": "aws sso login"}
"""botocore's class of error → the command that fixes it."""


class CredentialSource(Protocol):
    """What botocore's and boto3's credentials have in common."""

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the current credentials, refreshed if they can be."""


class Signer:
    """Signs for one API in one region."""

    def __init__(self, api_url: str, region: str | None, credentials: CredentialSource | None) -> None:
        self.api_url = _checked(api_url)
        if credentials is None:
            environment.check_aws_variables()
        self._session = Session()
        self.region = self._region(region)
        self._given, self._credentials = credentials, credentials
        self._lock, self._process = threading.Lock(), os.getpid()

    def sign(self, call: Call[Any]) -> httpx.Request:
        """Build the signed request of a call. It may fetch credentials over the network first."""
        content = b"" if call.body is None else json.dumps(call.body).encode()
        headers = {"accept": "application/json"} | ({"content-type": "application/json"} if content else {})
        request = httpx.Request(call.method, self.api_url + call.path, headers=headers, content=content)
        self.add_to(request)
        return request

    def add_to(self, request: httpx.Request) -> None:
        """Sign a request whose body is in memory. Raises NoCredentials or LoginExpired."""
        kind = {"content-type": request.headers["content-type"]} if "content-type" in request.headers else {}
        signed = AWSRequest(request.method, str(request.url), kind, request.content)
        SigV4Auth(self._frozen(), SERVICE, self.region).add_auth(signed)
        request.headers.update(dict(signed.headers))

    def _region(self, named: str | None) -> str:
        """Find the region: the address of an API Gateway names it, a custom domain doesn't."""
        environment.check_text("region", named or "")
        found = _ENDPOINT.fullmatch(urlsplit(self.api_url).hostname or "")
        if found and named and named != found[1]:
            raise WrongRegion(f"{self.api_url} is in {found[1]}: leave region out, or give region={found[1]!r}.")
        with _translated():
            region = (found and found[1]) or named or self._session.get_config_variable("region")
        if not region:
            raise WrongRegion(f"{self.api_url} does not show its AWS region: give region=, or set AWS_DEFAULT_REGION.")
        return str(region)

    def _frozen(self) -> ReadOnlyCredentials:
        if self._process != os.getpid():  # a fork: another thread of the parent may hold these locks for ever
            self._lock, self._session, self._credentials = threading.Lock(), Session(), self._given
            self._process = os.getpid()
        with self._lock, _translated():
            self._credentials = self._credentials or self._session.get_credentials()
            if self._credentials is None:
                raise NoCredentials(
                    "No AWS credentials were found: use a role, a profile (AWS_PROFILE), or AWS_ACCESS_KEY_ID "
                    "and AWS_SECRET_ACCESS_KEY. `aws sts get-caller-identity` shows whether the chain finds some."
                )
            frozen = self._credentials.get_frozen_credentials()
        return _checked_credentials(frozen)


def _checked_credentials(frozen: ReadOnlyCredentials) -> ReadOnlyCredentials:
    """Check that credentials fit into a header; otherwise the HTTP library would quote them in its error."""
    for name, value in (
        ("The AWS access key id (AWS_ACCESS_KEY_ID)", frozen.access_key),
        ("The AWS secret access key (AWS_SECRET_ACCESS_KEY)", frozen.secret_key),
        ("The AWS session token (AWS_SESSION_TOKEN)", frozen.token),
    ):
        if value and not all("!" <= character <= "~" and character not in "\"'" for character in value):
            raise NoCredentials(
                f"{name} holds a space, a line break, a quotation mark or another character that none has. Set it anew."
            )
    return frozen


def _checked(api_url: str) -> str:
    """Accept https anywhere, and http on loopback only. Raises ValueError with what is wrong."""
    if not all("!" <= character <= "~" for character in api_url):
        raise ValueError("api_url holds a space, a line break or another character that no address has. Set it again.")
    try:
        url = httpx.URL(api_url)
        host, port = url.host, url.port
    except (ValueError, httpx.InvalidURL):
        raise ValueError("api_url is no address. It must be the one that the output BackendApiUrl shows.") from None
    is_bare = not (url.userinfo or url.query or url.fragment)
    if not (is_bare and environment.is_host(host) and port in {None, *range(1, 65_536)}):
        raise ValueError("api_url must be a host and a path alone, as the stack's output BackendApiUrl shows them.")
    is_local = url.scheme == "http" and host in {"127.0.0.1", "localhost"}
    if not (url.scheme == "https" or is_local):
        raise ValueError("api_url must be the https address that the stack's output BackendApiUrl shows.")
    return api_url.rstrip("/")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn botocore's errors into ones that say what to do, without botocore's text, which may quote anything."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        kind = LoginExpired if code in _EXPIRED else NoCredentials
        raise kind(f"AWS gave no credentials ({code}). Check the profile or role, or log in again.") from None
    except BotoCoreError as error:
        raise _unusable(error) from None
    except ConnectError:
        raise
    except Exception as error:  # noqa: BLE001  # a file, a command or a number that the chain reads by itself
        raise NoCredentials(
            f"The AWS credentials can't be had: what the environment or a profile names for them can't be used "
            f"({type(error).__name__}). {environment.credentials_hint()}"
        ) from None


def _unusable(error: BotoCoreError) -> NotSent:
    """Distinguish an expired login from wrong credentials, by name: older versions of botocore lack some classes."""
    name, kinds = type(error).__name__, {kind.__name__ for kind in type(error).__mro__}
    command = next((command for kind, command in _LOGINS.items() if kind in kinds), None)
    if command is None:
        return NoCredentials(f"The AWS credentials can't be used ({name}). Check the profile or role.")
    profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    whole = f"{command} --profile {profile}" if profile else command
    return LoginExpired(f"The AWS login ran out, or was never made ({name}). Run `{whole}`.")
