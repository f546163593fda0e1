"""The smoke tests are known to run, here against the local product; `make rehearse` runs them all against a stack."""

import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from socket import create_server

import pytest

from local.cli_handle import cli_handle
from local.world import ROOT, World
from tests.support.certificate import certified
from tools.deployed import way


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run the product; give the folder from which it is found."""
    folder = tmp_path_factory.mktemp("clone")
    with World() as world, cli_handle(world, file=folder / ".local.json"):
        yield folder


def smoke(folder: Path) -> tuple[int, str, str]:
    """Run the command as its user does; give how it ended, its last line and all of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "tools.deployed", "--local"], cwd=folder, capture_output=True, text=True, check=False,
        env=kept | {"PYTHONPATH": f"{ROOT}"},
    )  # fmt: skip
    return ended.returncode, ended.stdout.strip().rpartition("\n")[2], ended.stdout + ended.stderr


@pytest.mark.slow
def test_the_local_product_passes_what_needs_no_aws(running: Path) -> None:
    code, last, all_of_it = smoke(running)

    assert code == 0, all_of_it
    assert re.fullmatch(r"deployed: ([1-9][0-9]) of \1 shown", last)


@pytest.mark.slow
def test_another_site_in_its_place_is_noticed(running: Path, tmp_path: Path) -> None:
    """The product's own site answers too, and not as the broker does."""
    said = json.loads((running / ".local.json").read_text())
    product = said["settings"]["RETURN_URLS"].partition("=")[2].partition("/ninjaone")[0]
    said["settings"]["CONNECT_URL"] = said["outputs"]["BackendApiUrl"] = product
    (tmp_path / ".local.json").write_text(json.dumps(said))

    code, last, all_of_it = smoke(tmp_path)

    assert code == 1, all_of_it
    assert last.startswith("deployed: 0 of ")


def test_without_anything_running_one_sentence_says_so(tmp_path: Path) -> None:
    code, _, said = smoke(tmp_path)

    assert (code, said.count("\n")) == (2, 1)
    assert "is not inside a clone" in said


@pytest.fixture
def unproven(tmp_path: Path) -> Iterator[str]:
    """Serve TLS with a certificate that nobody vouches for; give the address."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certified(tmp_path))

    def answer() -> None:
        talker, _ = listener.accept()
        with talker, suppress(OSError):
            made.wrap_socket(talker, server_side=True).close()

    with create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as there:
        there.submit(answer)
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def test_a_handshake_with_a_host_that_does_not_prove_its_name_is_refused(unproven: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        way.handshake(unproven, ssl.create_default_context())
