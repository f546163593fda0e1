"""Rows come back as they were written, and the release before and after can read each other's."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.adapters import rows
from broker.model import (
    Binding,
    ConnectionId,
    ConnectionState,
    Host,
    Instant,
    Organization,
    Profile,
    Reason,
    Session,
    SessionId,
    Stage,
    Status,
    TenantId,
)  # fmt: skip

WORDS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TENANTS = st.text("abcXYZ019._-", min_size=1, max_size=64).map(TenantId)
IDS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=26, max_size=26)
CONNECTIONS = IDS.map(lambda text: ConnectionId(f"con_{text}"))
SESSIONS = IDS.map(lambda text: SessionId(f"ses_{text}"))
INSTANTS = st.integers(0, 2**40).map(Instant)
NUMBERS = st.integers(0, 10**12)
PLACES = st.builds(Host, WORDS, WORDS)
SCOPES = st.frozensets(WORDS, max_size=5)
BLOBS = st.binary(min_size=1, max_size=60)
METADATA = st.dictionaries(TEXTS, TEXTS, max_size=4)

STATE = st.builds(
    ConnectionState,
    tenant=TENANTS,
    connection=CONNECTIONS,
    status=st.sampled_from(Status),
    host=PLACES,
    client_id=WORDS,
    customer_app=st.booleans(),
    version=NUMBERS,
    fence=NUMBERS,
    epoch=NUMBERS,
    token_expires_at=INSTANTS,
    sent_at=INSTANTS,
    consented_at=INSTANTS,
    scopes=SCOPES,
    access=st.none() | BLOBS,
    refresh=st.none() | BLOBS,
    reason=st.none() | st.sampled_from(Reason),
    refresh_at=st.none() | INSTANTS,
    due_shard=st.none() | st.integers(0, 7),
    lease_until=st.none() | INSTANTS,
    lease_id=st.none() | WORDS,
    tried_at=st.none() | INSTANTS,
    failures=st.integers(0, 9),
    cause=st.text(max_size=20),
    struck_at=st.none() | INSTANTS,
    outcome_unknown=st.booleans(),
    needs_reauth_since=st.none() | INSTANTS,
    disconnected_at=st.none() | INSTANTS,
    active_until=st.none() | INSTANTS,
    warned_at=st.none() | INSTANTS,
)
PROFILES = st.builds(
    Profile,
    tenant=TENANTS,
    connection=CONNECTIONS,
    label=TEXTS,
    organizations=st.lists(st.builds(Organization, NUMBERS, TEXTS), max_size=4).map(tuple),
    metadata=METADATA,
    created_at=INSTANTS,
    connected_at=INSTANTS,
    client=st.none() | BLOBS,
)
OPENED = st.builds(
    Session,
    session=SESSIONS,
    tenant=TENANTS,
    tenant_name=TEXTS,
    connect_url=TEXTS,
    stage=st.sampled_from(Stage),
    binding=st.sampled_from(Binding),
    return_to=TEXTS,
    scopes=SCOPES,
    label=TEXTS,
    metadata=METADATA,
    created_at=INSTANTS,
    expires_at=INSTANTS,
    customer_app=st.booleans(),
    end_user_hash=TEXTS,
    binding_challenge=TEXTS,
    connection=st.none() | CONNECTIONS,
    account=TEXTS,
    host=st.none() | PLACES,
    fixed_host=st.booleans(),
    client_id=st.just("") | WORDS,
    client=st.none() | BLOBS,
    fixed_client=st.booleans(),
    failures=NUMBERS,
)
"""A session as it is when it is opened; the steps after that write attribute by attribute."""

FOREIGN = st.dictionaries(
    st.text("ABCDEFGH", min_size=1, max_size=6),
    st.sampled_from(
        [
            {"S": "x"},
            {"N": "7"},
            {"B": b"x"},
            {"BOOL": True},
            {"NULL": True},
            {"L": [{"S": "x"}]},
            {"M": {"a": {"N": "1"}}},
            {"SS": ["x"]},
            {"NS": ["1"]},
            {"BS": [b"x"]},
        ]
    ),
    max_size=5,
)
"""Attributes that only another release knows, of every type that DynamoDB has."""


def without(item: rows.Item, needed: set[str], data: st.DataObject) -> rows.Item:
    """Drop some attributes."""
    optional = sorted(set(item) - needed)
    dropped = data.draw(st.sets(st.sampled_from(optional)) if optional else st.just(set[str]()))
    return {name: held for name, held in item.items() if name not in dropped}


def is_sound(item: dict[str, Any]) -> bool:
    """Say whether DynamoDB would take an item: one type for each attribute, nothing null."""
    return all(len(cell) == 1 and None not in cell.values() for cell in item.values())


@given(STATE, FOREIGN)
def test_a_state_row_comes_back_as_it_was_written(row: ConnectionState, foreign: rows.Item) -> None:
    item = rows.connection_state_item(row)

    assert is_sound(item)
    assert rows.connection_state({**foreign, **item}) == row


@given(PROFILES, FOREIGN)
def test_a_profile_comes_back_as_it_was_written(row: Profile, foreign: rows.Item) -> None:
    item = rows.profile_item(row)

    assert is_sound(item)
    assert rows.profile({**foreign, **item}) == row


@given(OPENED, FOREIGN)
def test_a_session_comes_back_as_it_was_opened(row: Session, foreign: rows.Item) -> None:
    item = rows.session_item(row)

    assert is_sound(item)
    assert rows.session({**foreign, **item}) == row


@given(STATE, st.data())
def test_a_state_row_of_another_release_is_read_with_what_it_lacks_at_its_default(
    row: ConnectionState, data: st.DataObject
) -> None:
    item = without(rows.connection_state_item(row), {"tenant", "connection", "status"}, data)

    read = rows.connection_state(item)

    assert (read.tenant, read.connection, read.status) == (row.tenant, row.connection, row.status)
    assert set(rows.connection_state_item(read)) >= set(item) - {"region", "host"}


@given(PROFILES, st.data())
def test_a_profile_of_another_release_is_read_too(row: Profile, data: st.DataObject) -> None:
    read = rows.profile(without(rows.profile_item(row), {"tenant", "connection"}, data))

    assert (read.tenant, read.connection) == (row.tenant, row.connection)


@given(OPENED, st.data())
def test_a_session_of_another_release_is_read_too_and_never_gets_further_than_it_was(
    row: Session, data: st.DataObject
) -> None:
    item = without(rows.session_item(row), {"session", "host"}, data)

    read = rows.session(item)

    assert read.session == row.session
    assert read.stage is (row.stage if "stage" in item else Stage.FAILED)
