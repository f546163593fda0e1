"""Faults of NinjaOne, and of the way there."""

from dataclasses import replace

from tests.verification.faults.matrix import FRESH, LOST, NOT_YET, PAUSED, RECONNECT, Observed, Row
from tests.verification.faults.stage import EU

LOST_ON_THE_WAY = Observed(
    ended=NOT_YET,
    lost=LOST,
    heals=RECONNECT,
    said=("ambiguous", "dead", "refresh.verdict_doubted", "connection.needs_reauth"),
    shown=8,
)
ASKED_AGAIN = Observed(said=("ambiguous",))


ROWS = (
    Row(
        "NinjaOne takes no connection",
        "Nothing was sent, so nothing is in doubt: gives the lease back, asks again after a minute, then less often.",
        lambda stage: stage.wire.down.add(EU),
        Observed(ended=NOT_YET, said=("not_sent",)),
        beside="oc",
    ),
    Row(
        "NinjaOne takes 60 seconds to answer",
        "Waits, and saves: a lease is longer than any answer may take.",
        lambda stage: stage.wire.slow.update({EU: [60]}),
        Observed(valid=FRESH),
    ),
    Row(
        "NinjaOne answers 503",
        "May have replaced the token: presents it again only when a late request must be over.",
        lambda stage: stage.plan("html_503"),
        Observed(ended=NOT_YET, said=("ambiguous",)),
        beside="oc",
    ),
    Row(
        "NinjaOne answers 200 with a page of HTML",
        "The same: a success without tokens is none.",
        lambda stage: stage.plan("html_200_rate_limit"),
        Observed(ended=NOT_YET, said=("ambiguous",)),
        beside="oc",
    ),
    Row(
        "NinjaOne answers 429 with `Retry-After: 600`",
        "Leaves this connection alone for as long as it says; it holds no other.",
        lambda stage: stage.plan("429_retry_after", seconds=600),
        Observed(ended=PAUSED, said=("throttled",)),
        beside="oc",
    ),
    Row(
        "The request is lost, and no answer comes",
        "Waits as if the answer had been lost, then presents the same token: it is still good.",
        lambda stage: stage.wire.swallowed.update({EU: 1}),
        ASKED_AGAIN,
    ),
    Row(
        "The connection is reset before NinjaOne did anything",
        "The same.",
        lambda stage: stage.plan("reset", times=1),
        ASKED_AGAIN,
    ),
    Row(
        "NinjaOne replaces the token, and its answer is lost",
        "Presents the old token after the wait; two dead verdicts later it says that the token was lost, not revoked.",
        lambda stage: stage.plan("lost_response", times=1),
        LOST_ON_THE_WAY,
    ),
    Row(
        "NinjaOne replaces the token, and answers after 70 seconds",
        "The same: an answer is waited for 65 seconds.",
        lambda stage: stage.wire.slow.update({EU: [70]}),
        replace(LOST_ON_THE_WAY, shown=7),
    ),
    Row(
        "NinjaOne calls a good token dead, once",
        "Asks again after a minute: one verdict is never believed.",
        lambda stage: stage.plan("spurious_dead_token", times=1),
        Observed(said=("dead",)),
        status="paused",
    ),
)
