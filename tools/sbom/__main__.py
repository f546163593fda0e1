"""What is shipped, as CycloneDX 1.6 (``python -m tools.sbom``) or as a page of licences (``--licences``)."""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tools.sbom import ROOT, Package, packages

PAGE = """# Licences

What is shipped beside this project's own code (Apache-2.0): the libraries layer, locked in
`layers/libraries/requirements.txt`. Lambda itself brings boto3 and botocore (Apache-2.0). Written by
`python -m tools.sbom --licences`; a test compares it, and holds what only development needs to the same list.

| library | licence |
|---|---|
"""


def bill(found: Sequence[Package]) -> dict[str, Any]:
    """Write a CycloneDX bill of materials. The same lock gives the same bytes: no time, no drawn number."""
    components = [component(each) for each in found]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, json.dumps(components))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "ninjaone-connect",
                "name": "ninjaone-connect",
                "version": version(),
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": "ninjaone-connect", "dependsOn": [reference(each) for each in found]},
            *({"ref": reference(each), "dependsOn": references(each, found)} for each in found),
        ],
    }


def version() -> str:
    """Read our own version out of the template."""
    found = re.search(r"SemanticVersion: ([0-9.]+)", (ROOT / "template.yaml").read_text())
    return found[1] if found else "0"


def component(package: Package) -> dict[str, Any]:
    licence = {"expression": package.licence} if " " in package.licence else {"license": {"id": package.licence}}
    return {
        "type": "library",
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
        "purl": reference(package),
        "scope": "required",
        "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes],
        "licenses": [licence],
    }


def reference(package: Package) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"


def references(package: Package, found: Sequence[Package]) -> list[str]:
    return [reference(each) for each in found if each.name in package.needs]


def page(found: Sequence[Package]) -> str:
    """Write the licences for people."""
    return PAGE + "".join(f"| {each.name} | {each.licence} |\n" for each in found)


def main() -> int:
    """Write to standard output."""
    found = packages()
    sys.stdout.write(page(found) if "--licences" in sys.argv else json.dumps(bill(found), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
