# ruff: noqa: INP001  # a script of the build, of no package
"""Lay certifi's authorities out by their names' hashes, so that OpenSSL reads the one it needs and not all of them.

Usage   python roots.py FOLDER OF CERTIFI; writes FOLDER/hashed, as `openssl rehash` would
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", re.DOTALL)


def main(folder: Path) -> None:
    """Write a file for each authority; those whose names have one hash are numbered."""
    hashed = folder / "hashed"
    hashed.mkdir()
    numbers = Counter[str]()
    for certificate in CERTIFICATE.findall((folder / "cacert.pem").read_text(encoding="utf-8")):
        asked = ["openssl", "x509", "-noout", "-subject_hash"]
        ran = subprocess.run(asked, input=certificate, capture_output=True, text=True, check=True)  # noqa: S603  # constants
        name = ran.stdout.strip()
        (hashed / f"{name}.{numbers[name]}").write_text(certificate, encoding="utf-8")
        numbers[name] += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
