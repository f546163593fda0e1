"""The whole world: its clock, its roles, its keys, its command, and what stops it from starting."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self
from urllib.parse import parse_qs, urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest
from botocore.exceptions import ClientError

from local import world as worlds
from local.__main__ import has_display
from local.browser import Browser
from local.cloudformation.template import TemplateFault
from local.product.backend import Backend
from local.world import World
from ninjaone_emulator.wsgi_server import serve
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
TENANT = "northwind"


def backend(world: World) -> Backend:
    return Backend(world.api_url, world.credentials)


def test_broker_and_ninjaone_share_one_clock(world: World) -> None:
    world.clock.advance(86_400)

    assert abs(world.ninjaone.now() - world.clock.now()) < 60
    assert abs(world.broker_for("token").ports.clock.now() - world.clock.now()) < 60


def test_a_function_s_broker_can_do_only_what_its_role_allows(world: World) -> None:
    table = world.template.table("local-ConnectionsTable")
    key = {"tenant": {"S": "t"}, "connection": {"S": "c"}}
    broker = world.broker_for("connections")

    with pytest.raises(ClientError, match="dynamodb:GetItem"):
        broker.ports.aws("dynamodb").get_item(TableName=table.name, Key=key, ProjectionExpression="refresh")
    assert "Item" not in world.aws("dynamodb").get_item(TableName=table.name, Key=key)


def test_what_functions_write_is_json_line_by_line() -> None:
    heard: list[str] = []
    with World(background=False, write=heard.append) as world:
        with Browser() as browser:
            browser.open(world.product_url)
            browser.submit("Ana")
            browser.arrive()
            browser.submit("Connect NinjaOne")

        assert [json.loads(line)["message"] for line in world.log_lines] == ["session.opened"]
        assert heard == list(world.log_lines)


def test_the_product_s_keys_are_the_only_ones_that_open_the_api(world: World) -> None:
    stranger = httpx.get(f"{world.api_url}/v1/tenants/{TENANT}/connections", trust_env=False)

    assert (stranger.status_code, stranger.text) == (403, '{"message":"Forbidden"}')
    assert backend(world).connections(TENANT) == []


def test_another_provider_stands_in_for_every_host() -> None:
    asked: list[str] = []

    def provider(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("302 Found", [("Location", "/sign-in"), ("Content-Length", "0")])
        return [b""]

    with serve(provider) as other, World(background=False, provider=other.url) as world, Browser() as browser:
        browser.open(world.product_url)
        browser.submit("Ana")
        browser.arrive()
        browser.submit("Connect with your own client app")
        browser.arrive()
        browser.submit("Continue to NinjaOne", region="eu", client_id="mine", client_secret="my-secret")

        assert browser.page.location.startswith(f"{other.url}/ws/oauth/authorize?")
        assert parse_qs(urlsplit(browser.page.location).query)["client_id"] == ["mine"]
        assert world.ninjaone_url == other.url
    assert asked == ["/ws/oauth/authorize"]


def test_a_folder_that_the_template_does_not_know_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*(path.parent.name for path in (ROOT / "functions").glob("*/app.py")), "extra"):
        (tmp_path / "functions" / name).mkdir(parents=True)
        (tmp_path / "functions" / name / "app.py").touch()
    monkeypatch.setattr(worlds, "ROOT", tmp_path)

    with pytest.raises(TemplateFault, match="functions/extra has only a folder"), World():
        pass


def test_a_function_without_a_folder_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "ROOT", tmp_path)

    with pytest.raises(TemplateFault, match="has no folder"), World():
        pass


def test_a_feed_whose_role_may_not_read_its_queue_stops_the_start(tmp_path: Path) -> None:
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert "sqs:ReceiveMessage" in text
    (tmp_path / "template.yaml").write_text(text.replace("sqs:ReceiveMessage, ", ""), encoding="utf-8")

    with pytest.raises(PermissionError, match="sqs:ReceiveMessage"), World(template=tmp_path / "template.yaml"):
        pass


def test_after_a_start_that_failed_the_next_one_succeeds(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {}", encoding="utf-8")

    with pytest.raises(TemplateFault), World(template=tmp_path / "template.yaml"):
        pass
    with World(background=False) as world:
        assert httpx.get(world.product_url, trust_env=False).status_code == 302


# The command -----------------------------------------------------------------------------------------------


class Command:
    """`python -m local`, running."""

    def __init__(self, *options: str, **environment: str) -> None:
        self._folder = TemporaryDirectory()  # a file of its own for `--local`: tests run side by side
        self.process = subprocess.Popen(
            [sys.executable, "-m", "local", "--file", f"{self._folder.name}/local.json", *options],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self) -> list[str]:
        """Read what is printed until it is ready."""
        assert self.process.stdout
        printed = []
        for line in self.process.stdout:
            printed.append(line.rstrip("\n"))
            if line.startswith("ready"):
                break
        return printed

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate()
        return self.process.returncode, out, err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._folder.cleanup()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_the_command_says_where_everything_is_and_ends_cleanly(number: signal.Signals) -> None:
    port = free_ports(4)
    with Command(PORT=str(port)) as command:
        lines = command.lines()
        answers = [httpx.get(line.split()[1], trust_env=False).status_code for line in lines[:4]]
        ended = command.end(number)

    assert lines == [
        f"connect http://127.0.0.1:{port}",
        f"api http://127.0.0.1:{port + 1}",
        f"ninjaone http://127.0.0.1:{port + 2}",
        f"product http://127.0.0.1:{port + 3}",
        f"ready: open http://127.0.0.1:{port + 3}, and end everything with Ctrl-C",
    ]
    assert answers == [404, 404, 200, 302]
    assert ended == (0, "", "")


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ""}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
    ],
)
def test_a_browser_is_opened_where_somebody_can_see_it(
    platform: str, environment: dict[str, str], *, expected: bool
) -> None:
    assert has_display(platform, environment) is expected


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with serve(lambda *_: []) as other:
        port = urlsplit(other.url).port
        with Command("--port", str(port)) as command:
            out, err = command.process.communicate()

    assert (command.process.returncode, out) == (1, "")
    assert err == f"local: port {port} on 127.0.0.1 is in use; PORT=n moves all four\n"


def test_a_taken_port_is_said_before_anything_is_installed() -> None:
    """Asked with the standard library alone, of the last of the four."""
    with serve(lambda *_: []) as other:
        port = urlsplit(other.url).port or 0
        environment = {**os.environ, "PORT": str(port - 3)}
        asked = [sys.executable, "-I", "-S", str(ROOT / "local/ports.py")]
        ended = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.endswith("is in use; PORT=n moves all four\n")


def test_a_port_that_is_none_is_said_with_what_it_must_be() -> None:
    asked = [sys.executable, str(ROOT / "local/ports.py")]
    environment = {**os.environ, "PORT": "http"}
    ended = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)

    assert ended.stderr == "local: PORT is 'http', and must be a number from 1 to 65531\n"


@pytest.mark.slow
def test_a_provider_that_does_not_answer_is_said_in_one_sentence() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, so that nobody else is given it, and not listened to
        gone = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Command("--port", str(free_ports(4)), "--provider", gone) as command:
            out, err = command.process.communicate()

    assert command.process.returncode == 1
    assert [line.split()[0] for line in out.splitlines()] == ["connect", "api"]
    assert err == f"local: ninjaone does not answer at {gone}\n"


@pytest.mark.slow
def test_log_lines_go_to_standard_error_when_asked_for() -> None:
    with Command("--port", str(free_ports(4)), "--verbose") as command:
        product = command.lines()[3].split()[1]
        with Browser() as browser:
            browser.open(product)
            browser.submit("Ana")
            browser.arrive()
            browser.submit("Connect NinjaOne")
        code, out, err = command.end(signal.SIGTERM)

    assert (code, out) == (0, "")
    assert "session.opened" in [json.loads(line)["message"] for line in err.splitlines()]
