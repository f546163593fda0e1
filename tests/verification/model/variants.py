"""The protocol, and the protocol with a safeguard taken away: what each of them breaks.

S1  the live token is lost for an avoidable reason
S2  our own reuse kills a family whose live token we had stored
S3  a token is presented while a newer one is stored
S4  the stored token goes back
S5  a connection is called dead while its live token is stored
S6  a connection whose token we lost is called dead without a doubt whose fault it is

Three losses are nobody's fault and are not S1: the response is lost after the provider's commit; the holder of an
unsaved token is killed; the row and the rescue store both refuse.
"""

from typing import Literal, NamedTuple

from tests.verification.model.explore import Budget
from tests.verification.model.provider import MODES, Mode
from tests.verification.model.rules import PATH, PROPOSED, Rules
from tests.verification.model.state import Step

Kind = Literal["proposed", "depth", "weakened"]


class Variant(NamedTuple):
    """One protocol and what must come of exploring it.

    Attributes:
        breaks: properties broken, for each mode in the order of `MODES`
        shows: mode and property whose shortest run tells the story best
    """

    kind: Kind
    name: str
    rules: Rules
    breaks: tuple[str, str, str, str] = ("", "", "", "")
    shows: tuple[Mode, str] = ("strict", "")
    budget: Budget = Budget()

    def expected(self, mode: Mode) -> frozenset[str]:
        """Name the properties that this variant breaks against this provider."""
        return frozenset(self.breaks[MODES.index(mode)].split())


def _without(*steps: Step) -> tuple[Step, ...]:
    return tuple(step for step in PATH if step not in steps)


LARGE = Budget(trigger=4, crash=2, response_lost=2, throttle=4, ack_lost=2, grace=2)
NARROW = Budget(throttle=1, stale=0, unready=0)
"""Where two invocations overlap: more of these only repeats what one shows, and a stale read tells a duller story."""

BARE = Rules(
    path=("read", "post", "save"),
    owns_lease=False,
    outlives=False,
    quarantine=False,
    compares=False,
    saves_and_frees=False,
    retries=False,
    sinks=False,
    rereads=False,
    strikes=1,
)
LOCKED = BARE._replace(path=("acquire", "read", "post", "save"))
EARLY = PROPOSED._replace(outlives=False)
ANY_REUSE = ("S3", "S2 S3", "S2 S3", "")

VARIANTS = (
    Variant("proposed", "proposed", PROPOSED, budget=LARGE),
    Variant("depth", "no re-read after a verdict (A1, A3 hold)", PROPOSED._replace(rereads=False)),
    # With the lease given back by a write of its own, it still covers the retry of an unanswered save.
    Variant(
        "depth",
        "no compare-and-swap, lease freed after the save",
        PROPOSED._replace(compares=False, saves_and_frees=False),
    ),
    Variant(
        "weakened",
        "naive: read, post, write",
        BARE,
        ("S1 S3 S5 S6", "S1 S2 S3 S5 S6", "S1 S2 S3 S4 S5 S6", "S5"),
        ("strict", "S3"),
        NARROW,
    ),
    Variant(
        "weakened",
        "lock with a TTL, plain write",
        LOCKED,
        ("S1 S3 S5 S6", "S1 S2 S3 S5 S6", "S1 S2 S3 S4 S5 S6", "S5"),
        ("grace", "S4"),
        NARROW,
    ),
    Variant(
        "weakened",
        "lock and compare-and-swap, no rescue, one strike",
        LOCKED._replace(compares=True, rereads=True),
        ("S1 S3 S5 S6", "S1 S2 S3 S5 S6", "S1 S2 S3 S5 S6", "S5"),
        ("strict", "S3"),
        NARROW,
    ),
    Variant("weakened", "no rescue store", PROPOSED._replace(sinks=False), ("S1", "S1", "S1", ""), ("strict", "S1")),
    Variant("weakened", "one strike", PROPOSED._replace(strikes=1), ("S5", "S5", "S5", "S5"), ("static", "S5")),
    # S6: without an announced attempt nobody can tell our loss from the customer's revocation.
    # S5 under strict: between the last look into the rescue store and the strike, the slower of two invocations
    # puts the live token there. The strike is conditional on the row only, and the row has not changed.
    Variant(
        "weakened",
        "no lease, compare-and-swap only",
        PROPOSED._replace(path=_without("acquire")),
        ("S3 S5 S6", "S2 S3 S6", "S2 S3 S6", ""),
        ("strict", "S5"),
        NARROW,
    ),
    Variant(
        "weakened",
        "the lease may expire early (A1 false)",
        EARLY,
        ("S3 S5", "S2 S3", "S2 S3", ""),
        ("reuse_revoke", "S2"),
        NARROW,
    ),
    # With a grace period two grants may be saved in the wrong order. The other way to S1 and S4 needs no early
    # expiry: see the last variant, whose fault is not spent here.
    Variant(
        "weakened",
        "A1 false, no compare-and-swap",
        EARLY._replace(compares=False),
        ("S3 S5", "S2 S3", "S1 S2 S3 S4", ""),
        ("grace", "S1"),
        NARROW._replace(ack_lost=0),
    ),
    # S6: the token that the verdict speaks of was replaced meanwhile, and the family killed by presenting it.
    Variant(
        "weakened",
        "A1 false, no re-read after a verdict",
        EARLY._replace(rereads=False),
        ("S3 S5", "S2 S3 S6", "S2 S3 S6", ""),
        ("strict", "S5"),
        NARROW,
    ),
    Variant(
        "weakened",
        "no quarantine (A3 false)",
        PROPOSED._replace(quarantine=False),
        ("", "S2", "S2", ""),
        ("reuse_revoke", "S2"),
    ),
    # S6: the verdict on the second request hides that the first had no clear end.
    Variant(
        "weakened",
        "quick retry after an unknown outcome",
        PROPOSED._replace(hasty=True),
        ("S6", "S2 S6", "S2 S6", ""),
        ("reuse_revoke", "S2"),
        NARROW,
    ),
    # S5 under strict: the row's token is refused twice while the rescue store holds the live one.
    Variant(
        "weakened",
        "rescue present but ignored",
        PROPOSED._replace(path=_without("look_in_rescue")),
        ("S3 S5", "S2 S3", "S2 S3", ""),
        ("strict", "S5"),
    ),
    Variant(
        "weakened",
        "an unreadable rescue store counts as empty",
        PROPOSED._replace(guesses=True),
        ANY_REUSE,
        ("reuse_revoke", "S2"),
    ),
    # S3: an attempt that could not look into the rescue store gives the lease back, and the next need not look.
    Variant(
        "weakened",
        "outcome_unknown forgotten with the attempt",
        PROPOSED._replace(doubts=False),
        ("S3 S6", "S2 S3 S6", "S2 S3 S6", ""),
        ("strict", "S6"),
    ),
    Variant(
        "weakened",
        "data key fetched after the post",
        PROPOSED._replace(path=(*_without("data_keys", "save"), "data_keys", "save")),
        ("S1", "S1", "S1", ""),
        ("strict", "S1"),
    ),
    # Even with A1 and A3: the save frees the lease, its acknowledgement is lost, somebody else refreshes and
    # saves, and the retry of the first save puts the old token back.
    Variant(
        "weakened",
        "no compare-and-swap (A1, A3 hold)",
        PROPOSED._replace(compares=False),
        ("S1 S3 S4", "S1 S2 S3 S4", "S1 S2 S3 S4", ""),
        ("strict", "S1"),
    ),
)
