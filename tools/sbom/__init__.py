"""What is shipped beside our own code, from the lock of the libraries layer: its versions, hashes and licences."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "layers/libraries/requirements.txt"
DEVELOPED_WITH = (ROOT / "requirements/run.txt", ROOT / "requirements/dev.txt")

_PIN = re.compile(r"^([a-z0-9-]+)==([^ ;]+)[^\\]*\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_BY_CLASSIFIER = {
    "MIT License": "MIT",
    "BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License (ISCL)": "ISC",
    "The Unlicense (Unlicense)": "Unlicense",
}
_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (OR|AND|WITH) [A-Za-z0-9.+-]+)*")


@dataclass(frozen=True)
class Package:
    """One locked package. ``licence`` is an SPDX expression, or empty where its metadata says nothing usable."""

    name: str
    version: str
    hashes: tuple[str, ...]
    licence: str
    needs: tuple[str, ...]


def locked(lock: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Read names, versions and hashes out of a lock."""
    name, version, hashes = "", "", list[str]()
    for line in [*lock.read_text().splitlines(), "end==0"]:
        if pin := _PIN.match(line.strip()):
            if name:
                yield name, version, tuple(hashes)
            (name, version), hashes = pin.groups(), []
        hashes += _HASH.findall(line)


def packages(lock: Path = SHIPPED) -> list[Package]:
    """Return every package of a lock that is installed here; of the layer's, all are."""
    pins = list(locked(lock))
    names = {name for name, _, _ in pins}
    return [
        Package(name, version, hashes, licence_of(name), tuple(sorted(names & set(_needs(name)))))
        for name, version, hashes in pins
        if is_installed(name)
    ]


def is_installed(name: str) -> bool:
    """Return whether a package is here: some of a universal lock are for other machines."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def licence_of(name: str) -> str:
    """Read a licence as SPDX names it: the expression, the classifier, or a short free text."""
    told = distribution(name).metadata
    free = "".join(told.get_all("License", [])).strip()
    classes = [each.rpartition(" :: ")[2] for each in told.get_all("Classifier", []) if each.startswith("License ::")]
    found = [*told.get_all("License-Expression", []), free if _SPDX.fullmatch(free) else ""]
    found += [_BY_CLASSIFIER[each] for each in classes if each in _BY_CLASSIFIER]
    return next((each for each in found if each), "")


def _needs(name: str) -> Iterator[str]:
    for line in requires(name) or ():
        found = re.match(r"[A-Za-z0-9._-]+", line)
        if found:
            yield re.sub(r"[-_.]+", "-", found[0]).lower()
