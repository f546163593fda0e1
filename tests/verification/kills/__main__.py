"""Kill so many times: `python -m tests.verification.kills` with KILLS=n and SEED=k here or in the environment.

The seed draws the moments and the pauses. The processes run in real time, so that it repeats the draw, not the run.
The exit status is 1 when anything was lost that could have been kept.
"""

import os
import sys

from tests.verification.kills.campaign import Campaign

SETTINGS = {"KILLS": 100, "SEED": 1, "CONNECTIONS": 20}
TOLD_EVERY = 10


def settings(arguments: list[str]) -> dict[str, int]:
    """Read NAME=number from the environment and the arguments."""
    given = {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in SETTINGS:
            raise SystemExit(f"unknown setting {argument}; use {', '.join(f'{each}=n' for each in SETTINGS)}")
        given[name] = value
    return SETTINGS | {name: int(value) for name, value in given.items()}


def main() -> int:
    """Kill, and say what that cost."""
    asked = settings(sys.argv[1:])
    with Campaign(connections=asked["CONNECTIONS"], seed=asked["SEED"]) as campaign:
        for result in campaign.run(asked["KILLS"]):
            if result.kills % TOLD_EVERY == 0 and result.kills < asked["KILLS"]:
                print(result, flush=True)
        for other in result.others:
            print(other)
        print(f"{result.cut} refreshes were cut short")
        print(result)
    return bool(result.others)


if __name__ == "__main__":
    sys.exit(main())
