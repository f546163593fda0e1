"""What makes one protocol differ from another: the path it takes, and the safeguards it has."""

from typing import NamedTuple

from tests.verification.model.state import Place, Step

PATH: tuple[Step, ...] = (
    "read",
    "open_token",
    "data_keys",
    "acquire",
    "look_in_rescue",
    "post",
    "save",
)


class Rules(NamedTuple):
    """One protocol. The defaults are the one of docs/understand/refresh.md.

    Attributes:
        path: the steps up to the save, in order
        owns_lease: the lease is won by comparing version and fence, and given back by its owner only
        outlives: an expired lease proves its holder dead (A1)
        quarantine: after an unknown outcome the lease is kept until no request can still be executed (A3)
        compares: the save is conditional on version and fence (A2)
        saves_and_frees: the save ends the lease in the same write
        retries: a save without an answer is tried again
        sinks: a token that the row refuses goes to the rescue store
        hasty: after an unknown outcome one more request is sent under the same lease
        doubts: that an attempt had no clear end is remembered until the next save
        guesses: an unreadable rescue store counts as an empty one
        rereads: a dead-token verdict is checked against the row and struck conditionally
        strikes: verdicts needed to say needs_reauth
    """

    path: tuple[Step, ...] = PATH
    owns_lease: bool = True
    outlives: bool = True
    quarantine: bool = True
    compares: bool = True
    saves_and_frees: bool = True
    retries: bool = True
    sinks: bool = True
    hasty: bool = False
    doubts: bool = True
    guesses: bool = False
    rereads: bool = True
    strikes: int = 2

    @property
    def leases(self) -> bool:
        """Say whether there is a lease at all."""
        return "acquire" in self.path

    def precedes_lease(self, at: Place) -> bool:
        """Say whether an invocation that stands here has no lease yet."""
        return self.leases and at in self.path[: self.path.index("acquire") + 1]

    def after(self, step: Step) -> Place:
        """Name the step that follows on the way to the save."""
        return self.path[self.path.index(step) + 1]


PROPOSED = Rules()
