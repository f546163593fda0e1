"""The requirement files, as tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9-]+)==([^ ]+)( ;.+)?$")


def entries(lock: Path) -> list[tuple[str, list[str]]]:
    """The lock's requirements, each with its hashes; comments left out."""
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "").splitlines()
    return [(pin.strip(), hashes) for pin, *hashes in (re.split(r"\s+--hash=sha256:", line) for line in joined)]


def pins(lock: Path) -> set[tuple[str, str]]:
    """Name and version of everything in a lock."""
    found = (PIN.match(pin) for pin, _ in entries(lock))
    return {(pin[1], pin[2]) for pin in found if pin}
