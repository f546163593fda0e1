"""What goes out: one version everywhere, workflows that bring nobody else's code, a guide that names what there is."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

import pytest
import yaml

from broker import ninjaone
from ninjaone_connect_cli.app import cli
from tests.deployment.template.stack import ROOT, deploy, source

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PAGES = sorted([*(ROOT / "docs/operate").glob("*.md"), ROOT / "docs/reference/cli.md"])
GUIDE = "".join(page.read_text(encoding="utf-8") for page in PAGES)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def package() -> Any:
    """Load tools/package.py."""
    spec = spec_from_file_location("package", ROOT / "tools/package.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_place_names_one_version() -> None:
    said = package().versions()

    assert len(said) == 7
    assert len(set(said.values())) == 1, said


def test_a_tag_that_names_another_release_is_not_packaged(capsys: pytest.CaptureFixture[str]) -> None:
    assert package().main("v0.0.1") == 1
    assert "do not name one release" in capsys.readouterr().err


def steps(workflow: Any) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.req("N02")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_uses_the_platform_s_own_actions_and_may_write_nothing(path: Any) -> None:
    workflow = yaml.safe_load(path.read_text())

    assert workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", each) for each in used)


def test_workflows_check_test_and_package() -> None:
    runs = {
        path.stem: [step["run"] for step in steps(yaml.safe_load(path.read_text())) if "run" in step]
        for path in WORKFLOWS
    }

    assert {"make check", "make build", "make test", "make test-all"} <= set(runs["ci"])
    assert {"make check", "make build"} <= set(runs["package"])
    for run in (run for each in runs.values() for run in each if run.startswith("make ")):
        assert run.removeprefix("make ") in TARGETS


# The operator's guide ------------------------------------------------------------------------------------------------


def test_the_guide_names_every_parameter() -> None:
    assert [name for name in source()["Parameters"] if f"`{name}`" not in GUIDE] == []


def test_the_guide_names_every_command() -> None:
    assert [name for name in cli.commands if f"`{name}" not in GUIDE] == []


def test_the_guide_s_commands_are_there() -> None:
    told = set(re.findall(r"ninjaone-connect(?: --\w+ \S+)* ([a-z]+)", GUIDE)) - {"is"}

    assert told
    assert told <= set(cli.commands)


def test_the_guide_s_commands_of_aws_name_the_region() -> None:
    """A profile's own region may be another one, where a command finds nothing or makes what fits nothing."""
    commands = re.findall(r"^ *\$ (aws (?:.*\\\n)*.*)", GUIDE, re.MULTILINE)

    assert len(commands) > 20
    assert [command for command in commands if "--region " not in command] == []


def test_the_guide_looks_for_lines_that_lambda_writes() -> None:
    """At the level INFO a start on demand has no line of its own; `platform.report` says how long it took."""
    assert {"LogFormat", "ApplicationLogLevel"} <= source()["Globals"]["Function"]["LoggingConfig"].keys()
    assert "SystemLogLevel" not in source()["Globals"]["Function"]["LoggingConfig"], "it is INFO then"
    assert set(re.findall(r"platform\.\w+", GUIDE)) == {"platform.report"}


def test_every_output_is_one_of_the_next_things_a_person_needs() -> None:
    outputs = set(deploy().outputs)

    assert {name.removeprefix("RedirectUri").lower() for name in outputs if name.startswith("RedirectUri")} == {
        *ninjaone.REGIONS,
        ninjaone.BRANDED,
    }
    assert {name for name in outputs if not name.startswith("RedirectUri")} == {
        "BackendApiUrl", "BackendPermission", "StoreClientSecrets", "Doctor", "Errors", "AlarmTopic", "PagingTopic",
        "Dashboard", "Firewall",
    }  # fmt: skip
