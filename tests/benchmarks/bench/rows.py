"""Connections as they lie in the table, with tokens of NinjaOne's sizes."""

import hashlib
from base64 import b64decode
from collections.abc import Iterator

from broker import policy
from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.clock import SystemClock
from broker.adapters.seal import DataKey, Seal
from broker.model import ConnectionId, ConnectionRef, ConnectionState, Host, Instant, Purpose, Status, TenantId
from broker.secret import Secret
from tests.verification.simulation.values import Item

CLIENT_ID, CLIENT_SECRET = "c" * 27, "s" * 53
HOST = Host("eu", "eu.ninjarmm.com")
ACCESS, REFRESH = Secret("a" * 43), Secret("r" * 80)
FILLER = b"\x01" + bytes(290)


def named(number: int) -> tuple[TenantId, ConnectionId]:
    """Name the n-th connection."""
    letters = hashlib.sha256(str(number).encode()).hexdigest().translate(str.maketrans("0189", "ghij"))
    return TenantId(f"tenant-{number % 5000:029}"), ConnectionId(f"con_{letters[:26]}")


def seeded(*, stored: int, due: int, now: int, wrapped: str, key: str) -> Iterator[Item]:
    """Make rows of which the first ``due`` are due now, sealed under one data key; the others are due later."""
    seal = Seal(AwsClient("kms", None), "", SystemClock(), bytes)
    opened = {each: DataKey(each, b64decode(wrapped), b64decode(key), float("inf")) for each in Purpose}
    for number in range(due):
        tenant, connection = named(number)
        spot = ConnectionRef(tenant, connection).aad(1)
        access = seal.seal(opened[Purpose.ACCESS], ACCESS, spot)
        refresh = seal.seal(opened[Purpose.REFRESH], REFRESH, spot)
        yield rows.connection_state_item(
            state(tenant, connection, now=now, refresh_at=now, access=access, refresh=refresh)
        )
    like = rows.connection_state_item(state(*named(0), now=now, refresh_at=now, access=FILLER, refresh=FILLER))
    for number in range(due, stored):
        tenant, connection = named(number)
        shard, later = {"N": str(policy.shard(connection))}, {"N": str(now + 600 + number % 1200)}
        yield {**like, **rows.key(tenant, connection), "due_shard": shard, "refresh_at": later}


def state(
    tenant: TenantId, connection: ConnectionId, *, now: int, refresh_at: int, access: bytes, refresh: bytes
) -> ConnectionState:
    """Make one active row, its token half used up."""
    return ConnectionState(
        tenant=tenant,
        connection=connection,
        status=Status.ACTIVE,
        host=HOST,
        client_id=CLIENT_ID,
        customer_app=False,
        version=1,
        fence=1,
        epoch=1,
        token_expires_at=Instant(now + 1800),
        sent_at=Instant(now - 1800),
        consented_at=Instant(now - 86_400),
        scopes=frozenset({"monitoring", "management", "offline_access"}),
        refresh_at=Instant(refresh_at),
        due_shard=policy.shard(connection),
        tried_at=Instant(now - 1800),
        access=access,
        refresh=refresh,
    )
