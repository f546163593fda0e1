"""Count the instructions that a Python program takes: by perf where the processor lets it count, else by valgrind."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path


class Uncountable(Exception):
    """Neither perf nor valgrind counts on this machine."""


def count(python: Path, program: Path, env: Mapping[str, str]) -> float:
    """Run a program and count its instructions in user space.

    ``-S`` keeps out whatever else is installed for that interpreter; what is to be found comes by PYTHONPATH.
    """
    command = [*counter(), str(python), "-S", str(program)]
    ran = subprocess.run(
        command, env={**env, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False
    )
    found = re.search(r"([\d,]+),,instructions", ran.stderr) or re.search(r"I +refs: +([\d,]+)", ran.stderr)
    if ran.returncode or not found:
        raise Uncountable(f"{program} did not run: {ran.stderr.strip()[-300:]}")
    return float(found[1].replace(",", ""))


@cache
def counter() -> tuple[str, ...]:
    """Find what counts here. Raises Uncountable."""
    perf = ("perf", "stat", "-x,", "-e", "instructions:u")
    if shutil.which("perf"):
        tried = subprocess.run([*perf, "true"], capture_output=True, text=True, check=False)
        if re.match(r"\d+,", tried.stderr):
            return perf
    if shutil.which("valgrind"):
        return ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    raise Uncountable("install valgrind, or let perf count instructions:u")
