"""Take each safeguard away in turn, and see the simulation notice: `python -m tests.verification.mutants`.

The exit status is 1 unless every mutant is caught.
"""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tests.verification.mutants.hunting import caught
from tests.verification.mutants.safeguards import MUTANTS


def main() -> int:
    """Hunt them all, side by side."""
    began, found = time.monotonic(), 0
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        for mutant, how in zip(MUTANTS, pool.map(caught, range(len(MUTANTS))), strict=True):
            print(f"without {mutant.name}: {how or 'NOT CAUGHT'}", flush=True)
            found += bool(how)
    print(f"{time.monotonic() - began:.0f} s")
    print(f"mutants: {found} of {len(MUTANTS)} caught")
    return found != len(MUTANTS)


if __name__ == "__main__":
    sys.exit(main())
