"""What the README of the examples tells a new user to type."""

import os
import re
import subprocess

from local.aws.gateway.sigv4 import DEMO
from local.world import World
from tests.client.examples.conftest import EXAMPLES
from tests.support.ports import free_ports

PORT = 8000
"""What `make run` takes when nothing is said."""


def told(**environment: str) -> dict[str, str]:
    """The variables that a shell has once it has read local.env."""
    command = ["sh", "-c", ". ./local.env; . ./local.env; env"]
    shell = {"PATH": os.environ["PATH"]} | environment
    lines = subprocess.run(command, cwd=EXAMPLES, env=shell, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in lines.splitlines())


def test_the_settings_are_those_of_the_local_world() -> None:
    settings = told()

    assert (settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"]) == (DEMO.access_key, DEMO.secret_key)
    assert settings["BACKEND_API_URL"] == f"http://127.0.0.1:{PORT + 1}"
    assert "PORT" not in settings, "`make run` in the same shell would move"
    assert f"http://127.0.0.1:{PORT + 4}" in (EXAMPLES / "README.md").read_text()


def test_the_settings_follow_the_port_that_make_run_was_given() -> None:
    settings = told(PORT="9000")

    assert settings["BACKEND_API_URL"] == "http://127.0.0.1:9001"
    assert (settings["PORT"], settings["EXAMPLE_PORT"]) == ("9000", "9004")


def test_the_local_world_sends_people_back_to_an_example_on_the_next_port() -> None:
    first = free_ports(4)
    with World(port=first, background=False) as world:
        addresses = world.settings("session")["RETURN_URLS"].split(",")

    assert f"{told()['RETURN_TO']}=http://127.0.0.1:{first + 4}/ninjaone/return" in addresses


def test_every_file_that_the_readme_names_is_there() -> None:
    named = re.findall(
        r"`([\w/\[\]]+\.(?:py|m?js|ts|env))`|(?:python|node) ([\w/]+\.\w+)", (EXAMPLES / "README.md").read_text()
    )

    assert named
    assert all((EXAMPLES / (quoted or typed)).is_file() for quoted, typed in named)
