"""What comes from others: few, locked, licensed, listed."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from tools.requirements import req
from tools.sbom import DEVELOPED_WITH, ROOT, SHIPPED, locked, packages
from tools.sbom.__main__ import bill, page

ASKED_FOR = {
    "aws-lambda-powertools": "formats log lines and metrics",
    "cryptography": "AES-GCM",
    "httpx": "calls NinjaOne, telling *not sent* from *no answer*",
    "jinja2": "escapes pages",
    "sniffio": "named because httpcore imports it",
}
ALLOWED = {
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Apache-2.0",
    "ISC",
    "PSF-2.0",
    "MPL-2.0",
    "0BSD",
    "Unlicense",
}


@req("N01")
def test_what_is_shipped_is_what_was_chosen() -> None:
    wanted = (ROOT / "layers/libraries/requirements.in").read_text()
    decisions = (ROOT / "DECISIONS.md").read_text()

    assert set(re.findall(r"^[a-z0-9-]+", wanted, re.MULTILINE)) == ASKED_FOR.keys()
    for name in ASKED_FOR.keys() - {"sniffio"}:
        assert f"`{name}`" in decisions
    assert len(packages()) <= 16


@req("N03")
def test_the_bill_of_materials_names_all_that_is_shipped() -> None:
    command = [sys.executable, "-m", "tools.sbom"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    written = json.loads(said)
    pins = {(name, version) for name, version, _ in locked(SHIPPED)}

    assert (written["bomFormat"], written["specVersion"]) == ("CycloneDX", "1.6")
    assert {(each["name"], each["version"]) for each in written["components"]} == pins
    assert all(each["hashes"] and each["licenses"][0] for each in written["components"])
    assert written == bill(packages())


@req("N03")
def test_the_bill_of_materials_hangs_together() -> None:
    written = bill(packages())
    refs = Counter([written["metadata"]["component"]["bom-ref"], *(each["bom-ref"] for each in written["components"])])

    assert set(refs.values()) == {1}
    assert {each["ref"] for each in written["dependencies"]} == refs.keys()
    assert {ref for each in written["dependencies"] for ref in each["dependsOn"]} <= refs.keys()
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", written["serialNumber"])


@req("N03")
def test_the_page_of_licences_is_what_the_packages_say() -> None:
    written = (ROOT / "docs/reference/licences.md").read_text()

    assert written == page(packages()), "run: python -m tools.sbom --licences > docs/reference/licences.md"


@req("N03")
def test_every_shipped_licence_is_known_and_allowed() -> None:
    for package in packages():
        assert set(re.split(r" (?:OR|AND) ", package.licence)) <= ALLOWED, f"{package.name}: {package.licence!r}"


@req("N03")
@pytest.mark.parametrize("lock", DEVELOPED_WITH, ids=lambda path: path.stem)
def test_nothing_that_development_needs_is_copyleft(lock: object) -> None:
    for package in packages(lock):  # type: ignore[arg-type]  # a Path
        assert not re.search(r"\bA?GPL", package.licence), f"{package.name}: {package.licence}"
