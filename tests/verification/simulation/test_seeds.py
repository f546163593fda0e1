"""Seeds of the simulation, and that the simulation itself can be relied on."""

import os
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from tests.verification.simulation.campaign import MUST, Totals, some
from tests.verification.simulation.conformance import FAILED, written
from tests.verification.simulation.history import Ref
from tests.verification.simulation.swarm import Run
from tests.verification.simulation.values import Item
from tools.requirements import req

pytestmark = pytest.mark.filterwarnings("ignore:This metric doesn't meet")
PARTS, PART = 2, 60  # seeds of `make test-all`; `make simulate` runs thousands
OFTEN = (
    "a rescued token adopted", "given up as lost in rotation", "a breaker opened", "an answer lost",
    "a request carried out late",
)  # fmt: skip
"""What sixty seeds reach whichever they are; `make simulate` wants the rest as well, of thousands."""


def test_a_few_seeds_break_nothing() -> None:
    assert not some(range(2)).violations


@pytest.mark.slow
@req("G01", "I02", "I03", "I06", "K04", "O03", "J08")
@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_anything(part: int) -> None:
    total = some(range(part * PART, (part + 1) * PART))

    assert not total.violations
    assert [name for name in OFTEN if not total.count(MUST[name])] == []
    assert len(total.checks) == 33  # I1 to I27, I5b, the model, and F1 to F4


@pytest.mark.slow
def test_a_seed_runs_the_same_in_another_process() -> None:
    """Whatever Python hashes strings with: a failure can be replayed."""
    code = "from tests.verification.simulation.swarm import Run; print(Run(11).run().world.scheduler.trace)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "17"}

    elsewhere = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert elsewhere.stdout.strip() == Run(11).run().world.scheduler.trace


def test_a_save_that_is_repeated_after_a_reseal_counts_as_done() -> None:
    """Its acknowledgement was lost, and the operator sealed the row anew before the save was tried again."""
    refusal = ClientError({"Error": {"Code": FAILED}}, "UpdateItem")
    refusal.response["Item"] = {"version": {"N": "8"}, "fence": {"N": "3"}, "access": {"B": b"sealed anew"}}  # type: ignore[typeddict-unknown-key]  # where DynamoDB puts the row
    values = {":version": {"N": "8"}, ":fence_seen": {"N": "3"}, ":access": {"B": b"sealed"}}

    assert written("save", {"ExpressionAttributeValues": values}, refusal) == "saved"
    assert written("save", {"ExpressionAttributeValues": values | {":fence_seen": {"N": "2"}}}, refusal) == "conflict"


def test_what_was_never_reached_is_named() -> None:
    empty = Totals()

    assert empty.unreached == list(MUST)


def test_a_save_into_the_table_of_before_a_restore_is_held_to_that_table() -> None:
    """A refresh that began before the restore may save after it; the restored table holds an older token."""
    run = Run(3)
    world, saved = run.world, list[tuple[Ref, Item]]()
    world.rows.watchers.append(lambda key, old, new: saved.append((key, old)) if old and _is_save(old, new) else None)
    run.run()
    key, older = saved[0]
    before = world.rows
    world.restore({key: older})

    before.write(key, {**before.items[key], "fence": {"N": "99"}})

    assert "refresh" in before.items[key]
    assert not world.history.violations


def _is_save(old: Item, new: Item | None) -> bool:
    return bool(new and "refresh" in old and "refresh" in new and old["version"] != new["version"])


def test_a_log_that_breaks_the_protocol_is_refused() -> None:
    world = Run(3).world
    ref = ("t0", "con_x")
    lease = [("read", "found"), ("acquire", "won")]
    for each in lease:
        world.trace.entries[ref].append((world.trace.instant(), ("refresh-1", *each)))
    assert not world.trace.refused(40)

    for each in lease:
        world.trace.entries[ref].append((world.trace.instant(), ("refresh-2", *each)))
    world.trace.entries[ref].append((world.trace.instant(), ("refresh-1", "post", "sent")))

    assert "refresh-2 may not acquire won" in world.trace.refused(40)
