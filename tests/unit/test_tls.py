"""TLS for real, over loopback: no secret goes to a host that does not prove its name."""

import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from socket import create_server
from unittest.mock import patch

import certifi
import httpx
import pytest

from broker.adapters.clock import SystemClock
from broker.adapters.http import HttpClient
from broker.adapters.transport import system_transport
from broker.model import Seconds
from broker.oauth import Answer, NotSent, Reply
from tests.support.certificate import certified
from tools.requirements import req

ROOTS = Path(__file__).parents[2] / "layers/libraries/roots.py"
SECRET = b"client_secret=a-secret-of-the-operator"


@dataclass
class Host:
    """A host with a certificate for 127.0.0.1 of its own making.

    Attributes:
        heard: what was told to it, once the way was secure
    """

    port: int
    certificate: Path
    heard: list[bytes] = field(default_factory=list)

    def post(self, name: str, *, trusted: bool) -> Answer:
        """Send it a secret under a name."""
        made = ssl.create_default_context(cafile=self.certificate) if trusted else httpx.create_ssl_context()
        with (
            patch.object(httpx, "create_ssl_context", lambda **_: made),
            HttpClient(system_transport(), SystemClock()) as web,
        ):
            form = dict([SECRET.decode().split("=")])
            return web.post(f"https://{name}:{self.port}/ws/oauth/token", form, timeout=Seconds(5))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    certificate, key = certified(tmp_path)
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    with create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as there:
        listener.settimeout(5)
        made = Host(listener.getsockname()[1], certificate)

        def answer() -> None:
            talker, _ = listener.accept()
            talker.settimeout(5)
            try:
                with secure.wrap_socket(talker, server_side=True) as spoken:
                    while SECRET not in b"".join(made.heard) and (said := spoken.recv(65_536)):
                        made.heard.append(said)
                    spoken.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            except OSError:
                talker.close()

        there.submit(answer)
        yield made


@req("L01")
def test_a_host_that_proves_its_name_is_told_the_secret(host: Host) -> None:
    answer = host.post("127.0.0.1", trusted=True)

    assert isinstance(answer, Reply)
    assert (answer.status, answer.body) == (200, b"{}")
    assert SECRET in b"".join(host.heard)


@req("L01")
@pytest.mark.parametrize(("name", "trusted"), [("127.0.0.1", False), ("localhost", True)])
def test_a_host_that_does_not_prove_its_name_is_told_nothing(host: Host, name: str, trusted: bool) -> None:
    answer = host.post(name, trusted=trusted)

    assert answer == NotSent("connect_error")
    assert host.heard == []


@req("L01")
@pytest.mark.parametrize("laid_out", [True, False])
def test_authorities_that_the_build_laid_out_are_trusted_and_no_others(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, laid_out: bool
) -> None:
    """As in the layer: one file for each authority, named by its hash; here it holds the host's own, or none."""
    (tmp_path / "cacert.pem").write_text(host.certificate.read_text() if laid_out else "")
    subprocess.run([sys.executable, ROOTS, tmp_path], check=True)
    monkeypatch.setattr("certifi.where", lambda: str(tmp_path / "cacert.pem"))

    with HttpClient(system_transport(), SystemClock()) as web:
        form = dict([SECRET.decode().split("=")])
        answer = web.post(f"https://127.0.0.1:{host.port}/ws/oauth/token", form, timeout=Seconds(5))

    assert isinstance(answer, Reply if laid_out else NotSent)
    assert (SECRET in b"".join(host.heard)) is laid_out


@pytest.mark.slow
def test_every_authority_of_certifi_is_laid_out(tmp_path: Path) -> None:
    shutil.copy(certifi.where(), tmp_path)
    subprocess.run([sys.executable, ROOTS, tmp_path], check=True)

    laid_out = [path.read_text() for path in (tmp_path / "hashed").iterdir()]

    assert laid_out
    bundle = Path(certifi.where()).read_text(encoding="utf-8")
    assert set(laid_out) == set(re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", bundle, re.DOTALL))
