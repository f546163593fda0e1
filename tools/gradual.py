"""Make a built template deploy gradually: `make deploy GRADUAL=yes`.

Every function gets a name that calls go to (its alias), and every deployment a version of its own: one call in ten
goes to it for five minutes, and CodeDeploy takes it back when an alarm fires. This is no parameter of the template
because SAM makes a version only of new code: a changed setting would wait unseen behind the alias. Here it never does.
"""

import sys
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

FUNCTION, FEED = "AWS::Serverless::Function", "AWS::Lambda::EventSourceMapping"
TAKEN_BACK_BY = (
    "ApisFailing", "FunctionsFailing", "RefreshersFailing", "RefreshesPutOff", "RowsUnreadable", "SealBroken",
    "TokenUnsaved", "InternalError",
)  # fmt: skip
"""Alarms that tell of a bad release; the others tell of NinjaOne or of customers."""


def gradual(template: Mapping[str, Any], stamp: str) -> dict[str, Any]:
    """Let a template's functions change over gradually.

    stamp   a text that no other deployment has
    """
    made = deepcopy(dict(template))
    made["Globals"]["Function"] |= {
        "AutoPublishAlias": "live",
        "DeploymentPreference": {
            "Type": "Canary10Percent5Minutes",
            "Alarms": [{"Fn::Sub": f"${{AWS::StackName}}-{name}"} for name in TAKEN_BACK_BY],
        },
    }
    for resource in made["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == FUNCTION:  # Lambda refuses a version in which nothing is new
            properties["Description"] += f" ({stamp})"
            properties["AutoPublishCodeSha256"] = sha256(stamp.encode()).hexdigest()
        elif resource["Type"] == FEED:
            properties["FunctionName"] = {"Ref": properties["FunctionName"]["Ref"] + ".Alias"}
    return made


def main(path: Path) -> None:
    """Rewrite a template that `sam build` made."""
    built = yaml.safe_load(path.read_text(encoding="utf-8"))
    stamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    path.write_text(yaml.safe_dump(gradual(built, stamp), sort_keys=False, allow_unicode=True), encoding="utf-8")
    print(f"This deployment changes over gradually ({stamp}).")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
