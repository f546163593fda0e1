"""Five faults to plant in what was built, each of which a step must find: ``python -m tools.rehearse --faults``."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Template = dict[str, Any]


def missing_permission(template: Template, _folder: Path) -> None:
    """The function that makes connections may not write them."""
    (policy,) = template["Resources"]["CompleteFunction"]["Properties"]["Policies"]
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != "KeepConnection"]


def wrong_table(template: Template, _folder: Path) -> None:
    """Functions are told of another table."""
    template["Globals"]["Function"]["Environment"]["Variables"]["CONNECTIONS_TABLE"] = "nowhere"


def disabled_key(template: Template, _folder: Path) -> None:
    """The KMS key is switched off."""
    template["Resources"]["SealKey"]["Properties"]["Enabled"] = False


def wrong_queue(template: Template, _folder: Path) -> None:
    """The mapping that makes connections for approval reads another queue."""
    template["Resources"]["CompletionFeed"]["Properties"]["EventSourceArn"] = {"Fn::GetAtt": "RefreshQueue.Arn"}


def broken_import(_template: Template, folder: Path) -> None:
    """A handler imports what is not there."""
    handler = folder / "ConnectFunction" / "app.py"
    handler.write_text("import nowhere\n" + handler.read_text(encoding="utf-8"), encoding="utf-8")


FAULTS: tuple[Callable[[Template, Path], None], ...] = (
    missing_permission, wrong_table, disabled_key, wrong_queue, broken_import,
)  # fmt: skip


def plant(fault: Callable[[Template, Path], None], template: Path) -> Path:
    """Copy what was built, put a fault into the copy, and give its template."""
    folder = template.parent.with_name("faulty")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template.parent, folder)
    copy = folder / template.name
    read = yaml.safe_load(copy.read_text(encoding="utf-8"))
    fault(read, folder)
    copy.write_text(yaml.safe_dump(read, sort_keys=False), encoding="utf-8")
    return copy
