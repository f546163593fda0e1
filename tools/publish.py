"""Publish what was built, for stacks that others make of it with one click: ``make publish BUCKET=name``.

Lambda takes code only from a bucket in the stack's own region. So the release goes to one bucket for each region that
is named, called ``name-region``: template, nested stack and code. What is printed for each region is the address of the
template and the link that opens CloudFormation's form with it.

See AWS CloudFormation User Guide, "Create quick-create links for stacks".
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.package import ROOT, versions

SAM = ROOT / ".venv-sam/bin/sam"
FOLDER = "ninjaone-connect"
STACK = "ninjaone-connect"


def bucket_of(name: str, region: str) -> str:
    """Name the bucket of a region."""
    return f"{name}-{region}"


def template_url(bucket: str, region: str, key: str) -> str:
    """Return the address of a template, as CloudFormation takes it."""
    return f"https://s3.{region}.amazonaws.com/{bucket}/{key}"


def quick_create(url: str, region: str) -> str:
    """Return the link that opens the form for a new stack, with everything but the parameters filled in."""
    form = f"templateURL={quote(url, safe='')}&stackName={STACK}"
    return f"https://{region}.console.aws.amazon.com/cloudformation/home?region={region}#/stacks/create/review?{form}"


def publish(built: Path, name: str, region: str, version: str) -> str:
    """Put a built release into the bucket of a region; return the address of its template.

    Args:
        built: the template that `sam build` made, its code beside it

    Raises:
        SystemExit, with what to do
    """
    bucket, prefix = bucket_of(name, region), f"{FOLDER}/{version}"
    s3 = boto3.Session(region_name=region).client("s3")
    _must_be_there(s3, bucket, region)
    packaged = built.with_name(f"packaged-{region}.yaml")
    _package(built, packaged, bucket, region, prefix)
    key = f"{prefix}/template.yaml"
    _put_once(s3, bucket, key, packaged.read_bytes())
    return template_url(bucket, region, key)


def _must_be_there(s3: Any, bucket: str, region: str) -> None:
    """Raises SystemExit: no such bucket, or it is in another region."""
    try:
        found = s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
    except (BotoCoreError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        where = "" if region == "us-east-1" else f" --create-bucket-configuration LocationConstraint={region}"
        raise SystemExit(
            f"The bucket {bucket} can't be used ({code}). If there is none yet:\n"
            f"aws s3api create-bucket --bucket {bucket} --region {region}{where}"
        ) from None
    if found != region:
        raise SystemExit(
            f"The bucket {bucket} is in {found}, and Lambda takes code only from its own region, {region}."
        )


def _package(built: Path, packaged: Path, bucket: str, region: str, prefix: str) -> None:
    """Let SAM put code and nested stack into the bucket, each under the hash of its content."""
    ran = subprocess.run(
        [SAM, "package", "--template-file", built, "--output-template-file", packaged, "--s3-bucket", bucket,
         "--s3-prefix", prefix, "--region", region, "--no-progressbar"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        raise SystemExit(f"sam package ended with {ran.returncode}:\n{(ran.stdout + ran.stderr)[-3000:]}")


def _put_once(s3: Any, bucket: str, key: str, template: bytes) -> None:
    """Upload a template, unless its release is published with another: a link must go on giving what it gave."""
    try:
        published = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        s3.put_object(Bucket=bucket, Key=key, Body=template, ContentType="text/yaml")
        return
    if published != template:
        raise SystemExit(
            f"s3://{bucket}/{key} is published already, and not the same. Give this release another number."
        )


def main(arguments: list[str]) -> int:
    """Publish for each region that is named, and print the links."""
    options = _options(arguments)
    (version, *others) = sorted(set(versions().values()))
    if others:
        raise SystemExit(f"The files do not name one release: {versions()}")
    for region in options.region:
        url = publish(options.built, options.bucket, region, version)
        sys.stdout.write(f"{region}\n  {url}\n  {quick_create(url, region)}\n")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.publish", description=__doc__.partition("\n")[0])
    parser.add_argument("--bucket", required=True, help="how the buckets' names begin; a hyphen and the region follow")
    parser.add_argument("--region", required=True, nargs="+", help="AWS regions, such as eu-west-1")
    parser.add_argument("--built", type=Path, default=ROOT / ".aws-sam/build/template.yaml", help="the built template")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
