"""Whoever deploys is told first which account it is, or how to log in."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
KNOWN = """<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>
<Arn>arn:aws:iam::123456789012:user/ops</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"""
REFUSED = "<ErrorResponse><Error><Code>{}</Code><Message>no</Message></Error></ErrorResponse>"


def ask(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Ask as somebody whose machine holds no AWS login but what is given."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = mine | {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"} | variables
    command = [sys.executable, str(ROOT / "tools/whoami.py")]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)


def ask_sts(home: Path, status: int, body: str) -> subprocess.CompletedProcess[str]:
    """Ask where AWS's STS gives one answer to everything."""
    server = make_server("127.0.0.1", 0, Request.application(lambda _: Response(body, status, mimetype="text/xml")))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        return ask(home, AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{server.server_port}", **KEYS)
    finally:
        server.shutdown()
        thread.join()


def test_somebody_without_a_login_is_told_how_to_log_in(tmp_path: Path) -> None:
    told = ask(tmp_path)

    assert told.returncode == 1
    first, second = told.stderr.splitlines()
    assert first.startswith("No AWS credentials were found")
    assert "aws configure" in second


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no such AWS profile" in ask(tmp_path, AWS_PROFILE="nobody").stderr


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredToken", "ran out"),
        ("InvalidClientTokenId", "does not know"),
        ("Else", "GetCallerIdentity, Else"),
    ],
)
def test_a_login_that_aws_refuses_is_one_sentence(tmp_path: Path, code: str, said: str) -> None:
    told = ask_sts(tmp_path, 403, REFUSED.format(code))

    assert told.returncode == 1
    assert said in told.stderr
    assert "Traceback" not in told.stderr


def test_somebody_who_is_logged_in_sees_the_account(tmp_path: Path) -> None:
    told = ask_sts(tmp_path, 200, KNOWN)

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "To the AWS account 123456789012, as arn:aws:iam::123456789012:user/ops\n"
