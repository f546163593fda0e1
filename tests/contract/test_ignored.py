"""What holds secrets never comes into a commit by mistake."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name",
    [
        "client-secrets.json", "docs/client-secrets.json", "client-secrets.eu.json", ".local.json", ".env",
        ".env.local", "tokens.csv", "tokens.jsonl", "tokens-eu.csv", "report.jsonl", "origin.pem", "certificate.key",
    ],
)  # fmt: skip
def test_git_ignores_it(name: str) -> None:
    ended = subprocess.run(["git", "check-ignore", "--no-index", "-q", name], cwd=ROOT, check=False)

    assert ended.returncode == 0


def test_nothing_that_is_tracked_is_ignored() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )

    assert tracked.stdout == b""
