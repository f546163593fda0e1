"""Rows as DynamoDB counts and holds them."""

from dataclasses import replace

import pytest

from broker.adapters import rows
from broker.adapters.connections import LISTED_ATTRIBUTES, TOKEN_ATTRIBUTES
from broker.model import ConnectionId, ConnectionState, Host, Instant, Reason, Session, Status, TenantId
from tests.support.journey import Journey
from tools.requirements import req

WRAPPED = 184
"""Bytes of a data key of 256 bits, wrapped by AWS KMS under an encryption context."""
ID = "abcdefghijklmnopqrstuvwx27"


def blob(secret: int) -> bytes:
    """A sealed value, by its shape: format, length, wrapped key, nonce, ciphertext, tag."""
    return bytes(1 + 2 + WRAPPED + 12 + secret + 16)


def size(item: rows.Item) -> int:
    """Count an item as DynamoDB does: names and values; a number takes a byte for two digits and one more."""
    return sum(len(name.encode()) + _size(cell) for name, cell in item.items())


def _size(cell: dict[str, object]) -> int:
    ((kind, held),) = cell.items()
    if kind == "N":
        digits = str(held).lstrip("-").strip("0") or "0"
        return (len(digits) + 1) // 2 + 1 + str(held).startswith("-")
    return 1 if kind == "BOOL" else len(held if isinstance(held, bytes) else str(held).encode())


LARGEST = ConnectionState(
    tenant=TenantId("t" * 64),
    connection=ConnectionId(f"con_{ID}"),
    status=Status.PENDING_APPROVAL,
    host=Host("branded", f"{'a' * 20}.rmmservice.com"),
    client_id="c" * 27,
    customer_app=True,
    version=99_999,
    fence=99_999,
    epoch=99,
    token_expires_at=Instant(1_899_999_999),
    sent_at=Instant(1_899_999_999),
    consented_at=Instant(1_899_999_999),
    scopes=frozenset({"monitoring", "management", "control", "offline_access"}),
    access=blob(43),
    refresh=blob(80),
    reason=Reason.LOST_IN_ROTATION,
    refresh_at=Instant(1_899_999_999),
    due_shard=7,
    lease_until=Instant(1_899_999_999),
    lease_id="a" * 16,
    tried_at=Instant(1_899_999_999),
    failures=2,
    cause="unsupported_grant_type",
    struck_at=Instant(1_899_999_999),
    outcome_unknown=True,
    needs_reauth_since=Instant(1_899_999_999),
    disconnected_at=Instant(1_899_999_999),
    active_until=Instant(1_899_999_999),
    warned_at=Instant(1_899_999_999),
    same_as=ConnectionId("con_abcdefghijklmnopqrstuvwx27"),
)


USUAL = replace(
    LARGEST,
    tenant=TenantId("0f8fad5b-d9cb-469f-a165-70867728950e"),
    status=Status.ACTIVE,
    host=Host("app", "app.ninjarmm.com"),
    scopes=frozenset({"monitoring", "management", "offline_access"}),
    reason=None,
    needs_reauth_since=None,
    disconnected_at=None,
    cause="",
    same_as=None,
)
"""A connection in use, in the middle of its refresh, with all that such a row may hold."""

WAITING = replace(USUAL, cause=LARGEST.cause, lease_until=None, lease_id=None)
"""The same between two attempts that NinjaOne refused."""


@pytest.mark.parametrize("row", [USUAL, WAITING], ids=["in use", "waiting"])
def test_a_usual_state_row_costs_one_write_unit(row: ConnectionState) -> None:
    assert size(rows.connection_state_item(row)) <= 1024


def test_the_largest_state_row_costs_two_write_units_at_most() -> None:
    assert size(rows.connection_state_item(LARGEST)) <= 2048


def test_the_largest_state_row_has_every_attribute() -> None:
    assert rows.connection_state(rows.connection_state_item(LARGEST)) == LARGEST
    assert None not in vars(LARGEST).values()


def test_vending_reads_no_refresh_token_and_listing_nothing_sealed() -> None:
    assert "refresh" not in TOKEN_ATTRIBUTES
    assert not set(rows.SEALED) & set(LISTED_ATTRIBUTES)
    assert set(TOKEN_ATTRIBUTES) <= set(rows.connection_state_item(LARGEST))


@req("A03", "J04")
def test_an_opened_session_holds_no_secret_and_no_name_of_the_person(journey: Journey) -> None:
    session: Session = journey.open()

    text = repr(rows.session_item(session))
    assert journey.end_user not in text
    assert journey.verifier.reveal() not in text


def test_an_attribute_of_a_kind_that_no_row_of_ours_has_is_left_out() -> None:
    item: rows.Item = {
        "connection": {"S": "con_a"},
        "note": {"NULL": True},
        "tags": {"L": [{"S": "x"}]},
        "more": {"M": {}},
    }

    assert rows.plain(item) == {"connection": "con_a"}
