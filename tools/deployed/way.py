"""The way to a deployment: TLS on its real addresses."""

import socket
import ssl
import warnings
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from ninjaone_connect_cli.deployment import Deployment
from tools.deployed.reach import anybody
from tools.requirements import req

REFUSED = r"(?i)protocol|version|reset|handshake|eof"
"""How a host says that it does not speak what it was offered."""


def addresses(deployment: Deployment) -> Iterator[str]:
    yield from (deployment.config.connect_url, deployment.outputs["BackendApiUrl"])


def handshake(url: str, context: ssl.SSLContext) -> str:
    """Agree on TLS with a host; say on which. Raises OSError."""
    host = urlsplit(url).hostname or ""
    plain = socket.create_connection((host, urlsplit(url).port or 443), timeout=15)
    with plain, context.wrap_socket(plain, server_hostname=host) as secure:
        return str(secure.version())


def old_tls() -> ssl.SSLContext:
    """Speak nothing later than TLS 1.1."""
    old = ssl.create_default_context()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():  # Python calls these versions deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return old


@req("F02", "L01")
def test_both_addresses_speak_tls_1_2_or_later(deployment: Deployment) -> None:
    for url in addresses(deployment):
        assert url.startswith("https://")
        assert handshake(url, ssl.create_default_context()) in {"TLSv1.2", "TLSv1.3"}


@req("F02")
def test_older_tls_is_refused(deployment: Deployment) -> None:
    for url in addresses(deployment):
        with pytest.raises(OSError, match=REFUSED):
            handshake(url, old_tls())


@req("F02")
def test_nothing_is_served_without_tls(deployment: Deployment) -> None:
    for url in addresses(deployment):
        try:
            answer = anybody("GET", url.replace("https://", "http://"))
        except httpx.TransportError:
            continue
        assert not answer.is_success
