"""The connect flow, and the connect flow with a check taken away: which attack each of them lets through.

The last kind is no variant of the flow but a stronger X: what is known not to be stopped, and has to stay true.
"""

from typing import Literal, NamedTuple

from tests.verification.model.connect import Checks

Kind = Literal["proposed", "depth", "weakened", "limit"]


class Attack(NamedTuple):
    """One flow under attack, the properties it breaks, and the one whose shortest run is told."""

    kind: Kind
    name: str
    checks: Checks
    breaks: str = ""
    shows: str = ""


WHOLE = Checks()

ATTACKS = (
    Attack("proposed", "connect, careful product", WHOLE),
    Attack("proposed", "connect, product names the creator", WHOLE._replace(names_creator=True)),
    Attack("proposed", "connect, product finds the verifier by session", WHOLE._replace(shares=True)),
    # Each of these three stops what another check stops too. The cookie stops it a page earlier, and is all there
    # is where a connection is approved by hand instead of completed by the product.
    Attack("depth", "connect, no cookie", WHOLE._replace(cookie=False)),
    Attack("depth", "connect, no verifier", WHOLE._replace(verifier=False)),
    Attack("depth", "connect, no end user", WHOLE._replace(end_user=False)),
    Attack("weakened", "connect, no state", WHOLE._replace(state=False), "C1 C4", "C1"),
    Attack("weakened", "connect, no ticket", WHOLE._replace(ticket=False), "C1", "C1"),
    Attack(
        "weakened",
        "connect, neither verifier nor end user",
        WHOLE._replace(verifier=False, end_user=False),
        "C1 C3",
        "C1",
    ),
    Attack(
        "weakened",
        "connect, no verifier, product names the creator",
        WHOLE._replace(verifier=False, names_creator=True),
        "C1 C3",
        "C1",
    ),
    Attack(
        "weakened",
        "connect, no end user, verifier found by session",
        WHOLE._replace(end_user=False, shares=True),
        "C1 C3",
        "C1",
    ),
    Attack("weakened", "connect, any browser may start", WHOLE._replace(single_start=False), "C1 C4", "C1"),
    Attack("weakened", "connect, nothing is spent", WHOLE._replace(once=False), "C1 C2 C4", "C1"),
    Attack("weakened", "connect, code sent by the callback", WHOLE._replace(waits=False), "C1 C3", "C1"),
    # Whoever opens the link first may agree with an account of their own and send V the way back: all checks see V.
    # The product therefore redirects to the link at once and never mails it.
    Attack("limit", "connect, X opens V's link first", WHOLE._replace(early_link=True), "C1 C4", "C1"),
    # The state is a secret while it lives: with it, a code of X's reaches V's flow in V's own browser.
    Attack("limit", "connect, X reads V's live addresses", WHOLE._replace(early_address=True), "C1 C4", "C1"),
    # A code is NinjaOne's to honour once. Brought again it gives X nothing, but NinjaOne may revoke what it gave V
    # (RFC 6749 §4.1.2); a broker that remembers the codes it sent does not send it.
    Attack("limit", "connect, X reads V's spent codes", WHOLE._replace(spent_codes=True), "C4", "C4"),
    Attack("depth", "connect, spent codes are remembered", WHOLE._replace(spent_codes=True, remembers=True)),
)
