"""Give every function of a built template an alias: `make deploy GRADUAL=yes`, or `GRADUAL=now`.

Calls go to the alias, and each deployment is a version of its own.

yes  One call in ten goes to the new version for five minutes. CodeDeploy goes back when an alarm fires that tells of
     a bad release; so it also refuses to begin while one fires.
now  All calls go to the new version at once, whatever the alarms say: for the release that fixes what they tell of.

This is not a parameter of the template because SAM makes a new version only for new code: a changed setting would wait
unseen behind the alias. Here every deployment makes one.
"""

import sys
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

FUNCTION, MAPPING = "AWS::Serverless::Function", "AWS::Lambda::EventSourceMapping"
MODES = ("yes", "now")
TAKEN_BACK_BY = (
    "ApisFailing", "FunctionsFailing", "RefreshersFailing", "RefreshesPutOff", "RowsUnreadable", "SealBroken",
    "TokenUnsaved", "InternalError",
)  # fmt: skip
"""Alarms that tell of a bad release; the others tell of NinjaOne or of customers."""


def gradual(template: Mapping[str, Any], stamp: str, mode: str) -> dict[str, Any]:
    """Let calls of a template's functions go to an alias.

    Args:
        stamp: a text that no other deployment has
        mode: one of `MODES`
    """
    made = deepcopy(dict(template))
    made["Globals"]["Function"] |= {"AutoPublishAlias": "live", **(_by_tenths() if mode == "yes" else {})}
    for resource in made["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == FUNCTION:  # Lambda refuses a version in which nothing is new
            properties["Description"] += f" ({stamp})"
            properties["AutoPublishCodeSha256"] = sha256(stamp.encode()).hexdigest()
        elif resource["Type"] == MAPPING:
            properties["FunctionName"] = {"Ref": properties["FunctionName"]["Ref"] + ".Alias"}
    return made


def _by_tenths() -> dict[str, Any]:
    """Name the alarms by their text: a reference would close a circle, for they watch what is deployed after them.

    A function that a condition leaves out has no group either, which SAM does only when it is told.
    """
    names = [{"Fn::Sub": f"${{AWS::StackName}}-{name}"} for name in TAKEN_BACK_BY]
    preference = {"Type": "Canary10Percent5Minutes", "Alarms": names, "PassthroughCondition": True}
    return {"DeploymentPreference": preference}


def main(path: Path, mode: str) -> int:
    """Rewrite a template that `sam build` made."""
    if mode not in MODES:
        print(f"GRADUAL is {' or '.join(MODES)}, not {mode}. Without it, functions have no alias.", file=sys.stderr)
        return 1
    built = yaml.safe_load(path.read_text(encoding="utf-8"))
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    made = gradual(built, stamp, mode)
    path.write_text(yaml.safe_dump(made, sort_keys=False, allow_unicode=True), encoding="utf-8")
    print(f"This deployment changes over {'gradually' if mode == 'yes' else 'at once, behind its aliases'} ({stamp}).")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
