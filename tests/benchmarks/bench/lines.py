"""The table that is printed: a name, what was measured, what it may be at most or must be at least."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One thing measured.

    Attributes:
        value: None when it can't be measured on this machine
        least: the limit is a lower bound
    """

    name: str
    value: float | None
    limit: float
    least: bool = False
    unit: str = ""

    @property
    def is_ok(self) -> bool:
        """Say whether it is within its limit."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.least else self.value <= self.limit

    def __str__(self) -> str:
        value = "unmeasured" if self.value is None else f"{self.value:.3g}{self.unit}"
        bound = f"{'≥' if self.least else '≤'} {self.limit:g}{self.unit}"
        return f"{self.name:<58} {value:>10} {bound:>9}  {'ok' if self.is_ok else 'over'}"
