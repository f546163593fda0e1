"""`make publish`: what goes into which bucket, and the addresses that are printed. SAM's part is in the rehearsal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from moto import mock_aws

from tools import publish
from tools.package import versions

REGIONS = ("eu-west-1", "us-east-1")
VERSION = versions()["template.yaml"]
KEY = f"ninjaone-connect/{VERSION}/template.yaml"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A built template; packaging copies it and notes for which bucket."""

    def package(template: Path, packaged: Path, bucket: str, *_: Any) -> None:
        packaged.write_text(f"{template.read_text()} of {bucket}")

    monkeypatch.setattr(publish, "_package", package)
    template = tmp_path / "template.yaml"
    template.write_text("Resources")
    with mock_aws():
        for region in REGIONS:
            where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            boto3.client("s3", region_name=region).create_bucket(Bucket=f"releases-{region}", **where)  # type: ignore[arg-type]
        yield template


def run(built: Path, *regions: str) -> int:
    return publish.main(["--built", str(built), "--bucket", "releases", "--region", *regions])


def test_each_region_gets_the_release_in_a_bucket_of_its_own(built: Path) -> None:
    assert run(built, *REGIONS) == 0

    for region in REGIONS:
        held = boto3.client("s3", region_name=region).get_object(Bucket=f"releases-{region}", Key=KEY)
        assert held["Body"].read().decode() == f"Resources of releases-{region}"


def test_the_link_opens_the_form_with_the_address_that_is_printed(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(built, *REGIONS)

    printed = capsys.readouterr().out.split()
    assert printed[::3] == list(REGIONS)
    for region, url, link in zip(printed[::3], printed[1::3], printed[2::3], strict=True):
        assert url == f"https://s3.{region}.amazonaws.com/releases-{region}/{KEY}"
        opened = urlsplit(link)
        assert (opened.hostname, opened.query) == (f"{region}.console.aws.amazon.com", f"region={region}")
        where, _, form = opened.fragment.partition("?")
        assert where == "/stacks/create/review"
        assert parse_qs(form) == {"templateURL": [url], "stackName": ["ninjaone-connect"]}


def test_a_release_is_published_again_only_as_it_is(built: Path) -> None:
    run(built, "eu-west-1")
    run(built, "eu-west-1")
    built.write_text("Resources of another kind")

    with pytest.raises(SystemExit, match="published already, and not the same"):
        run(built, "eu-west-1")


def test_a_bucket_that_is_not_there_is_named_with_how_to_make_it(built: Path) -> None:
    with pytest.raises(SystemExit, match=r"releases-ca-central-1 can't be used \(NoSuchBucket\)(.|\n)*create-bucket"):
        run(built, "ca-central-1")


def test_a_bucket_in_another_region_is_refused(built: Path) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="releases-ca-central-1")

    with pytest.raises(SystemExit, match=r"releases-ca-central-1 is in us-east-1"):
        run(built, "ca-central-1")
