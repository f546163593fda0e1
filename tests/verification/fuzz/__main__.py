"""A campaign: ``python -m tests.verification.fuzz --minutes 10``, guided by coverage where atheris is installed.

What breaks a target is written into its corpus as ``found-…``, where the tests run it from then on.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from random import Random

from tests.verification.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
PROCESSES = 2
LONGEST = 4096
"""Bytes of an input: what matters to a parser shows in short ones."""


def guided(name: str, seconds: int) -> tuple[int, list[bytes]]:
    """Let libFuzzer mutate what reached new code; give how many inputs ran, and what broke the target."""
    with tempfile.TemporaryDirectory() as folder:
        found, grown = Path(folder, "found"), Path(folder, "grown")
        found.mkdir()
        grown.mkdir()
        limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=20", "-print_final_stats=1"]
        command = [sys.executable, "-m", "tests.verification.fuzz.worker", name, *limits, f"-artifact_prefix={found}/"]
        folders = [str(grown), str(CORPUS / name)]
        said = subprocess.run([*command, *folders], capture_output=True, text=True, check=False).stderr
        ran = [int(line.split(":")[-1]) for line in said.splitlines() if "number_of_executed_units" in line]
        broken = [path.read_bytes() for path in found.iterdir()]
        if not ran and not broken:
            raise RuntimeError(f"the worker of {name} did not run: {said[-2000:]}")
        return sum(ran), broken


def shuffled(name: str, rounds: int) -> tuple[int, list[bytes]]:
    """Mutate the corpus blindly, where there is no atheris."""
    seeds, draw = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())], Random(name)
    broken = []
    for _ in range(rounds):
        data = mutated(bytearray(draw.choice(seeds)), draw, seeds)
        try:
            TARGETS[name](data)
        except Exception:  # noqa: BLE001  # whatever it is, it is what is looked for
            broken.append(data)
    return rounds, broken[:5]


def mutated(data: bytearray, draw: Random, seeds: list[bytes]) -> bytes:
    """Change a few bytes, cut a piece out, or put one of another seed in."""
    for _ in range(draw.randint(1, 4)):
        host = draw.randint(0, len(data))
        piece = draw.choice([bytes([draw.randrange(256)]), draw.randbytes(4), draw.choice(seeds)[:40]])
        data[host : host + draw.randint(0, 8)] = piece
    return bytes(data[:LONGEST])


def keep(name: str, data: bytes) -> Path:
    """Put what broke a target into its corpus."""
    path = CORPUS / name / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def campaign(minutes: float) -> int:
    """Run every target for its share of the time; give how many inputs broke one."""
    seconds = max(1, int(minutes * 60 * PROCESSES / len(TARGETS)))
    is_guided = find_spec("atheris") is not None
    print(f"{'guided by coverage' if is_guided else 'blind: atheris is not installed'}, {seconds} s for each target")
    breaks = 0
    with ThreadPoolExecutor(PROCESSES) as pool:
        work = (lambda name: guided(name, seconds)) if is_guided else (lambda name: shuffled(name, 2000 * seconds))
        for name, (ran, broken) in zip(TARGETS, pool.map(work, TARGETS), strict=True):
            breaks += len(broken)
            print(
                f"{name:14} {ran:10} inputs  {', '.join(str(keep(name, each)) for each in broken) or 'none broke it'}"
            )
    return breaks


def main() -> int:
    """Exit 0 only if nothing broke."""
    options = argparse.ArgumentParser(prog="python -m tests.verification.fuzz", description=__doc__)
    options.add_argument("--minutes", type=float, default=5.0)
    breaks = campaign(options.parse_args().minutes)
    print(f"fuzz: {breaks} inputs broke a parser")
    return 1 if breaks else 0


if __name__ == "__main__":
    sys.exit(main())
