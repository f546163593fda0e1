"""What NinjaOne's own controls refuse."""


class Rejected(Exception):
    """Nothing was changed; `faults` names everything that must be different."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
