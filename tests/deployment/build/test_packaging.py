"""A deployment as far as it goes without an account: what was built is uploaded, and the template names what was."""

import os
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws.account import AwsAccount
from local.aws.http_endpoint import application
from local.cloudformation.intrinsics import load
from local.cloudformation.template import Template
from ninjaone_emulator.wsgi_server import serve
from tests.deployment.template.stack import ROOT, resolved
from tools.expand import expanded
from tools.package import archive

pytestmark = pytest.mark.slow
BUCKET = "artifacts"
UNPACKED = 250 * 1024 * 1024
"""What a function and its layers may take on Lambda."""


@pytest.fixture(scope="module")
def s3(template: Template) -> Iterator[tuple[str, Any]]:
    """Where S3 is spoken to, and a client of it."""
    with AwsAccount(template, time.time) as aws, serve(application(aws)) as there:
        client = aws.client("s3")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield there.url, client


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release, unpacked on another machine."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(archive(built, "9.9.9", folder)) as packed:
        packed.extractall(folder, filter="data")
    return folder / "ninjaone-connect-9.9.9"


@pytest.fixture(scope="module")
def packaged(unpacked: Path, s3: tuple[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The template as `sam deploy` of a release sends it to CloudFormation."""
    written = tmp_path_factory.mktemp("package") / "template.yaml"
    environment = os.environ | {
        "AWS_ENDPOINT_URL": s3[0],
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7LOCAL",
        "AWS_SECRET_ACCESS_KEY": "not a secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "SAM_CLI_TELEMETRY": "0",
    }
    command = [str(ROOT / ".venv-sam/bin/sam"), "package", "--template-file", str(unpacked / "template.yaml")]
    more = ["--s3-bucket", BUCKET, "--output-template-file", str(written)]
    subprocess.run([*command, *more], cwd=unpacked, env=environment, check=True, capture_output=True)
    return load(written.read_text(encoding="utf-8"))


def uploaded(address: str) -> str:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    assert bucket == BUCKET
    return key


def test_everything_the_template_names_was_uploaded(packaged: dict[str, Any], s3: tuple[str, Any]) -> None:
    there = {each["Key"] for each in s3[1].list_objects_v2(Bucket=BUCKET)["Contents"]}
    named = [
        uploaded(resource["Properties"][name])
        for resource in packaged["Resources"].values()
        for name in ("CodeUri", "ContentUri")
        if name in resource.get("Properties", {})
    ]

    assert len(named) == len({path.parent.name for path in (ROOT / "functions").glob("*/app.py")}) + 2
    assert set(named) <= there


def test_the_repository_of_applications_is_given_its_texts(packaged: dict[str, Any], s3: tuple[str, Any]) -> None:
    """What `sam publish` needs: a name, a licence, a text to read, a semantic version."""
    said = packaged["Metadata"]["AWS::ServerlessRepo::Application"]

    assert said["SemanticVersion"].count(".") == 2
    for name in ("LicenseUrl", "ReadmeUrl"):
        assert s3[1].head_object(Bucket=BUCKET, Key=uploaded(said[name]))["ContentLength"] > 1000


def test_what_is_sent_to_cloudformation_expands_without_a_loose_end(packaged: dict[str, Any]) -> None:
    stack = resolved(expanded(packaged, {}), {})

    for function in stack.of("AWS::Lambda::Function").values():
        assert function["Code"]["S3Bucket"] == BUCKET


def test_the_alarms_are_uploaded_with_the_template_that_nests_them(
    packaged: dict[str, Any], s3: tuple[str, Any]
) -> None:
    location = packaged["Resources"]["Alarms"]["Properties"]["Location"]
    nested = s3[1].get_object(Bucket=BUCKET, Key=location.rpartition("/")[2])["Body"].read().decode()

    assert load(nested)["Resources"].keys() == load((ROOT / "stacks/alarms.yaml").read_text())["Resources"].keys()


def test_a_release_brings_what_a_deployment_may_want_beside_the_template(unpacked: Path) -> None:
    nested = {"stacks/alarms.yaml"}  # is part of what was built
    stacks = {f"stacks/{path.name}" for path in (ROOT / "stacks").iterdir()} - nested

    for name in ("LICENSE", "README.md", "samconfig.example.toml", *stacks):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_a_function_and_its_layers_are_far_below_what_lambda_takes(built: Path) -> None:
    layers = sum(size(built / layer) for layer in ("LibrariesLayer", "BrokerLayer"))
    largest = max(size(path) for path in built.glob("*Function"))

    assert layers + largest < UNPACKED / 4


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
