"""The broker's own handlers in a world where everything fails: deterministic, seeded, replayable."""
