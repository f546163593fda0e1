"""Play every error and write the tables: `python -m tests.verification.aws_errors`, a part of `make faults`."""

import sys

from tests.verification.aws_errors.scenes import SCENES
from tests.verification.aws_errors.table import play_all, put, rows, tables
from tests.verification.roles.stage import stage


def main() -> int:
    """Play and write; what changed is for whoever runs this to judge."""
    written, played = {}, 0
    with stage() as shared:
        for scene in SCENES:
            seen = play_all(scene, shared)
            written[scene.title] = rows(seen)
            played += len(seen)
            print(f"{len(seen):3} errors  {scene.function}: {scene.title}", flush=True)
    put(tables(written))
    print(f"aws-errors: {played} errors of {len(SCENES)} uses of the functions, written to docs/operate/aws-errors.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
