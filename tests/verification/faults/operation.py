"""Faults of settings, of those who ask at the same time, and of what was done to the table."""

import time
from concurrent.futures import ThreadPoolExecutor

from ninjaone_emulator.seed import OPERATOR_APPS
from tests.verification.faults.aws import die
from tests.verification.faults.matrix import (
    DUE,
    ENDED,
    FRESH,
    NOT_YET,
    RECONNECT,
    Observed,
    Row,
    outcome,
    tell,
)
from tests.verification.faults.stage import Stage

OPERATOR = OPERATOR_APPS["eu"].client_id
CALLERS = 5
PATIENCE = 60.0


def rotate_secret(stage: Stage) -> None:
    stage.world.ninjaone.admin.rotate_secret(OPERATOR)


def store_secret(stage: Stage) -> None:
    secrets = {app.client_id: app.client_secret for app in OPERATOR_APPS.values()}
    stage.store_secrets(secrets | {OPERATOR: stage.world.ninjaone.app(OPERATOR).secret})


def delete_app(stage: Stage) -> None:
    stage.world.ninjaone.admin.delete_app(OPERATOR)


def register_again(stage: Stage) -> None:
    """Make an app of the same id; what was granted to the old one stays dead."""
    stage.world.ninjaone.app(OPERATOR).deleted = False


def accuse_all(stage: Stage) -> None:
    """Call every token of the host dead; eight connections are due."""
    for number in range(6):
        stage.connect(f"tenant-{number}")
    stage.plan("spurious_dead_token")


def deliver_often(stage: Stage) -> None:
    stage.copies = 5


def swap(stage: Stage) -> None:
    """Put the sealed tokens of one row into another."""
    other = stage.connect("third")
    mine, theirs = stage.row(stage.subject), stage.row(other)
    stage.put(mine | {name: theirs[name] for name in ("access", "refresh")})
    stage.put(theirs | {name: mine[name] for name in ("access", "refresh")})
    stage.kept = mine


def swap_back(stage: Stage) -> None:
    assert stage.row(stage.subject).keys() == stage.kept.keys()
    stage.put(stage.kept)


def skew(stage: Stage) -> None:
    """A process dies with its lease; another, its clock 9 s ahead, looks one second before the lease is over."""
    die(stage, "asked")
    stage.until(DUE)
    stage.work()
    stage.time.advance(249)
    stage.sweep()
    for message in stage.messages(stage.config.refresh_queue):
        stage.refresh(*stage.batches(message), skew=9)
    assert stage.most_shown() == 0


def restore(stage: Stage) -> None:
    """Put a row back as it was before its last refresh, and let the activated table be another."""
    backup = stage.row(stage.subject)
    stage.until(DUE)
    stage.work()
    stage.put(backup)
    stage.activate("another")


def activate(stage: Stage) -> None:
    assert stage.most_shown() == 1
    stage.activate(stage.config.connections_table)


def ask_at_once(row: Row, stage: Stage) -> Observed:
    """Let the token end with nobody to refresh it; then five callers ask, and all their batches are worked at once."""
    held, queue = stage.ask().token, stage.config.urgent_queue
    stage.time.meanwhile = lambda: _all_together(stage, queue)
    stage.until(ENDED)
    with ThreadPoolExecutor(max_workers=CALLERS) as callers:
        answers = list(callers.map(lambda _: stage.ask(), range(CALLERS)))
    assert len(set(answers)) == 1
    stage.time.meanwhile = lambda: stage.drain(queue)
    lost, heals = outcome(stage, row)
    assert stage.refreshed() == 1
    return Observed(
        "–", tell(answers[0], held), lost, heals, tuple(stage.said()), stage.most_shown(), row.expected.beside
    )


def _all_together(stage: Stage, queue: str) -> None:
    """Wait until every caller's batch is there; then let as many processes work them."""
    if stage.refreshed():
        return
    until = time.monotonic() + PATIENCE
    while stage.waiting(queue) < CALLERS and time.monotonic() < until:
        time.sleep(0.01)
    stage.refresh(*[batch for message in stage.messages(queue) for batch in stage.batches(message)])


PAUSED = "Shows the connection as paused, holds no consent against anybody, asks every two minutes at most, alarms"

ROWS = (
    Row(
        "Five callers ask at once after the token has ended",
        "Five batches compete for one lease: NinjaOne is asked once, and all five callers get its answer.",
        lambda _: None,
        Observed(valid="–"),
        script=ask_at_once,
    ),
    Row(
        "Every message is delivered five times, at once",
        "One of them takes the lease; the others find nothing to do.",
        deliver_often,
        Observed(valid=FRESH),
    ),
    Row(
        "NinjaOne calls every token of a host dead, for a quarter of an hour (eight connections)",
        "Believes none while no other customer is granted there, shows the connections as paused, asks again.",
        accuse_all,
        Observed(ended=NOT_YET, said=("dead", "refresh.verdict_doubted")),
        beside="oc",
        status="paused",
    ),
    Row(
        "The stored client secret is wrong",
        f"{PAUSED}.",
        rotate_secret,
        Observed(ended=NOT_YET, said=("config",), heals="the operator stores the right secret"),
        end=store_secret,
        beside="oc",
        heals="the operator stores the right secret",
    ),
    Row(
        "The client app was deleted in NinjaOne",
        f"{PAUSED}.",
        delete_app,
        Observed(
            ended=NOT_YET,
            lost="the connection: `needs_reauth`, `revoked`",
            heals=RECONNECT,
            said=("config", "dead", "refresh.verdict_doubted", "connection.needs_reauth"),
            shown=4,
        ),
        end=register_again,
        beside="oc",
    ),
    Row(
        "Somebody swaps the sealed tokens of two rows",
        "Neither opens: it presents nothing, changes nothing, and an alarm fires.",
        swap,
        Observed(valid="500 `seal-broken`", ended=NOT_YET, said=("seal.broken",), heals="the rows are put right"),
        end=swap_back,
        heals="the rows are put right",
    ),
    Row(
        "The clocks of two hosts differ by 9 seconds",
        "Leaves a lease alone until it has expired by every clock.",
        skew,
        Observed(),
    ),
    Row(
        "The table is restored from a backup older than the last refresh",
        "Presents nothing until the operator activates the table; then the old token is refused.",
        restore,
        Observed(
            ended=NOT_YET,
            lost="the connection: `needs_reauth`, `revoked`",
            heals=RECONNECT,
            said=("epoch.inactive", "dead", "refresh.verdict_doubted", "connection.needs_reauth"),
            shown=6,
        ),
        end=activate,
    ),
)
