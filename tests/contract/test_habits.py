"""Decisions are numbered and give their reasons; dependabot looks at every place where versions are locked."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DECISIONS = re.findall(
    r"^## (\d+)\. (.+)\n\n([^#]+)", (ROOT / "DECISIONS.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_every_decision_has_a_number_a_date_a_reason_and_what_would_change_it() -> None:
    assert [int(number) for number, _, _ in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for number, title, text in DECISIONS:
        assert re.match(r"\d{4}-\d{2}-\d{2}\. ", text), (number, title)
        assert "**Why**: " in text, (number, title)
        assert "**Would change it**: " in " ".join(text.split()), (number, title)


def test_dependabot_looks_at_every_lock_file() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    locked = {
        (ecosystem, "/" + str(Path(name).parent))
        for name in tracked
        for ecosystem, pattern in (("pip", r"(.*/)?requirements(/.*)?\.txt"), ("npm", r".*package-lock\.json"))
        if re.fullmatch(pattern, name)
    }
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text(encoding="utf-8"))["updates"]

    assert locked
    assert locked <= {(each["package-ecosystem"], each["directory"]) for each in updates}
    assert ("github-actions", "/") in {(each["package-ecosystem"], each["directory"]) for each in updates}


@pytest.mark.parametrize("folder", ["clients/typescript", "examples/express"])
def test_npm_locks_hold_a_hash_for_each_package_and_no_host(folder: str) -> None:
    packages = json.loads((ROOT / folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    others = {name: each for name, each in packages.items() if name and name != "node_modules/ninjaone-connect"}

    assert len(others) > 20
    assert [name for name, each in others.items() if "resolved" in each or "integrity" not in each] == []


def test_issue_forms_ask_each_question_once() -> None:
    for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        if form.name != "config.yml":
            asked = [each["id"] for each in yaml.safe_load(form.read_text(encoding="utf-8"))["body"] if "id" in each]
            assert asked
            assert len(set(asked)) == len(asked), form.name
