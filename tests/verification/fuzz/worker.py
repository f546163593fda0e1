"""One target under atheris: ``python -m tests.verification.fuzz.worker NAME libfuzzer-options corpus…``."""

import sys

import atheris  # type: ignore[import-untyped,unused-ignore]  # it has no types, and is not there on every machine

with atheris.instrument_imports(include=["broker"]):
    from tests.verification.fuzz.targets import TARGETS


def main() -> None:
    """Never comes back: libFuzzer ends the process."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


main()
