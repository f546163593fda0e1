"""Five faults to plant in what was built: ``python -m tools.rehearse --faults``.

Each must be found by the step that it concerns, and by its own sign: a step that fails for another reason, because the
machine was too slow perhaps, has found nothing.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Fault:
    """A fault, and how it shows.

    Attributes:
        plant: changes a built template, or a file beside it
        step: what the step that must find it claims
        sign: what its error, the functions' log or MiniStack's must say
    """

    plant: Callable[[Template, Path], None]
    step: str
    sign: str

    def is_found(self, step: str, said: str) -> bool:
        """Return whether a step that failed has found it.

        Args:
            said: the step's error and both logs
        """
        return step == self.step and self.sign in said


OPERATORS_APP, APPROVAL = "a person connects with the operator's app", "a connection waits for its approval"
FAULTS = (
    Fault(missing_permission, OPERATORS_APP, '"operation":"TransactWriteItems","code":"AccessDeniedException"'),
    Fault(wrong_table, OPERATORS_APP, "is not activated"),
    Fault(disabled_key, OPERATORS_APP, '"code":"DisabledException"'),
    Fault(wrong_queue, APPROVAL, "a connection that waits: not within"),
    Fault(broken_import, OPERATORS_APP, "No module named 'nowhere'"),
)


def plant(fault: Fault, template: Path) -> Path:
    """Copy what was built, put a fault into the copy, and return its template."""
    folder = template.parent.with_name("faulty")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template.parent, folder)
    copy = folder / template.name
    read = yaml.safe_load(copy.read_text(encoding="utf-8"))
    fault.plant(read, folder)
    copy.write_text(yaml.safe_dump(read, sort_keys=False), encoding="utf-8")
    return copy
