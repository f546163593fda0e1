"""Expand template.yaml as CloudFormation's SAM transform does, offline: ``python -m tools.expand FOLDER``.

Some faults show only in what SAM makes of a template, such as a circle through a deployment group. So `make check` also
lints the expansions: `plain`, and the two gradual ones of tools/gradual.py.
"""

import json
import os
import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import patch

from samtranslator.parser.parser import Parser  # type: ignore[import-untyped]  # SAM ships no types
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped]

from local.cloudformation.intrinsics import load
from tools.gradual import MODES, gradual

ROOT = Path(__file__).parents[1]
REGION = "eu-west-1"
NEEDED = {"ProductName": "Example", "ReturnUrls": "main=https://app.example/return"}
"""The parameters without a default."""

_MANAGED = {name: f"arn:aws:iam::aws:policy/{name}" for name in ("AWSXrayWriteOnlyAccess", "AWSXRayDaemonWriteAccess")}
_CODE = {"CodeUri": "s3://code/", "ContentUri": "s3://code/", "Location": "https://code.s3.amazonaws.com/"}


def expanded(document: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    """Run SAM's transform; code is said to be in a bucket already, as after ``sam package``."""
    written = deepcopy(dict(document))
    for resource in written["Resources"].values():
        properties = resource.get("Properties", {})
        for name in properties.keys() & _CODE.keys():
            if "://" not in properties[name]:
                properties[name] = _CODE[name] + properties[name]
    with patch.dict(os.environ, AWS_DEFAULT_REGION=REGION):
        made: dict[str, Any] = Translator(_MANAGED, Parser()).translate(written, {**NEEDED, **parameters})
    return made


def main(folder: Path) -> None:
    """Write every expansion of template.yaml into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = load((ROOT / "template.yaml").read_text(encoding="utf-8"))
    variants = {"plain": source, **{f"gradual-{mode}": gradual(source, "a stamp", mode) for mode in MODES}}
    for name, document in variants.items():
        made = expanded(document, {})
        (folder / f"{name}.json").write_text(json.dumps(made, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
