"""The examples that deploy the published template from Terraform and from the CDK are programs of their languages."""

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.template.stack import ROOT, deploy, source

TERRAFORM, CDK = ROOT / "examples/deploy/main.tf", ROOT / "examples/deploy/app.py"
HCL = ROOT / ".venv-checkov/bin/python"
READ = "import hcl2, json, sys; json.dump(hcl2.load(open(sys.argv[1])), sys.stdout)"


def must_fit(parameters: dict[str, Any]) -> None:
    known = source()["Parameters"]
    assert parameters.keys() <= known.keys()
    assert {name for name, each in known.items() if "Default" not in each} <= parameters.keys()


def outputs_named(text: Path) -> set[str]:
    return {name for name in deploy().outputs if f'"{name}"' in text.read_text() or f".{name}" in text.read_text()}


@pytest.mark.slow  # it is read by the parser that checkov brings, in its environment
def test_terraform_s_example_is_read_and_fits_the_template() -> None:
    ran = subprocess.run([HCL, "-c", READ, TERRAFORM], capture_output=True, text=True, check=True)
    read = json.loads(ran.stdout)
    (stack,) = (each["aws_cloudformation_stack"] for each in read["resource"] if "aws_cloudformation_stack" in each)
    said = stack["ninjaone_connect"]

    must_fit(said["parameters"][0])
    assert said["capabilities"] == [["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]]
    assert outputs_named(TERRAFORM) == {"BackendApiUrl", "BackendPermission"}


def test_the_cdk_s_example_compiles_and_fits_the_template() -> None:
    tree = ast.parse(CDK.read_text())
    (made,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "CfnStack"
    )
    said = {each.arg: each.value for each in made.keywords}

    must_fit(ast.literal_eval(said["parameters"]))
    assert "template_url" in said
    assert outputs_named(CDK) == {"BackendApiUrl", "BackendPermission"}
