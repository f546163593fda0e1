"""Play every fault and write the tables: `python -m tests.verification.faults`.

The exit status is 1, and nothing is written, when one went otherwise than expected.
"""

import sys

from tests.verification.faults.table import ROWS, put, tables


def main() -> int:
    """Play, compare, write."""
    seen, otherwise = {}, 0
    for row in ROWS:
        seen[row.fault] = row.play()
        as_expected = seen[row.fault] == row.expected
        otherwise += not as_expected
        print(f"{'as expected' if as_expected else 'otherwise  '}  {row.fault}", flush=True)
        if not as_expected:
            print(f"  expected  {row.expected}\n  seen      {seen[row.fault]}")
    if not otherwise:
        put(tables(seen))
    print(f"faults: {len(ROWS)} faults, {otherwise} otherwise than expected")
    return bool(otherwise)


if __name__ == "__main__":
    sys.exit(main())
