"""Speaking to a deployment: as anybody on the web, and as its backend, which signs."""

import json
import os
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import certifi
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ninjaone_connect_cli.deployment import Deployment

GIVEN: list[Deployment] = []
"""The one deployment that is looked at, put here by the command."""

TENANT = "smoke-test"
"""A tenant that has no connection and gets none."""
OURS = {"Sec-Fetch-Site": "same-origin"}


def anybody(method: str, url: str, **more: Any) -> httpx.Response:
    """Ask as somebody without a signature; no redirect is followed."""
    return httpx.request(method, url, timeout=40, trust_env=False, verify=trusted(), **more)


@cache
def trusted() -> ssl.SSLContext:
    """Trust the authorities that the environment names, as the AWS clients do, else those of certifi."""
    named = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    return ssl.create_default_context(cafile=named or certifi.where())


def backend(
    deployment: Deployment, method: str, path: str, body: object = None, *, credentials: Credentials | None = None
) -> httpx.Response:
    """Ask as the backend: signed, with one's own credentials or others."""
    url, content = deployment.outputs["BackendApiUrl"] + path, b"" if body is None else json.dumps(body).encode()
    signed = AWSRequest(method, url, {"Content-Type": "application/json"}, content)
    SigV4Auth(credentials or deployment.credentials, "execute-api", deployment.region).add_auth(signed)
    return anybody(method, url, content=content, headers=dict(signed.headers))


def query_of(url: str) -> Mapping[str, str]:
    """Read an address's query."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def slug(answer: httpx.Response) -> str:
    """Name a problem."""
    return str(answer.json().get("type", "")).rpartition(":")[2]
