"""What release 1 wrote, one of each kind: `python -m tests.unit.upgrade.samples` records it, once for a release.

The recorded file is never edited afterwards. A later release records its own beside it, and reads them all.
"""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from broker.adapters import rows
from broker.adapters.connections import ConnectionRef
from broker.adapters.queues import Queue, Trigger
from broker.adapters.rescue import RescueStore, SealedTokens
from broker.model import (
    Binding,
    ConnectionId,
    ConnectionState,
    Host,
    Instant,
    Organization,
    Profile,
    Purpose,
    Reason,
    Seconds,
    Session,
    SessionId,
    Stage,
    Status,
    TenantId,
)

RECORDED = Path(__file__).with_name("release1.json")

TENANT, CONNECTION = TenantId("acme-msp"), ConnectionId("con_" + "a" * 26)
REF = ConnectionRef(TENANT, CONNECTION)

HOT = ConnectionState(
    tenant=TENANT,
    connection=CONNECTION,
    status=Status.NEEDS_REAUTH,
    host=Host("branded", "acme.rmmservice.eu"),
    client_id="a-client-app",
    customer_app=True,
    version=7,
    fence=9,
    epoch=2,
    token_expires_at=Instant(1_800_003_600),
    sent_at=Instant(1_800_000_000),
    consented_at=Instant(1_799_000_000),
    scopes=frozenset({"monitoring", "offline_access"}),
    access=b"sealed access token",
    refresh=b"sealed refresh token",
    reason=Reason.LOST_IN_ROTATION,
    refresh_at=Instant(1_800_001_800),
    due_shard=3,
    lease_until=Instant(1_800_000_250),
    attempt="an-attempt",
    tried_at=Instant(1_800_000_000),
    strikes=1,
    struck_at=Instant(1_800_000_001),
    outcome_unknown=True,
    ended_at=Instant(1_800_000_002),
    active_until=Instant(1_800_086_400),
    warned_at=Instant(1_799_900_000),
)
FRESH = replace(
    HOT,
    status=Status.ACTIVE, customer_app=False, reason=None, lease_until=None, attempt=None, tried_at=None, strikes=0,
    struck_at=None, outcome_unknown=False, ended_at=None, active_until=None, warned_at=None,
)  # fmt: skip
PROFILE = Profile(
    tenant=TENANT,
    connection=CONNECTION,
    label="Hauptkonto",
    organizations=(Organization(1, "Bäckerei Krüger"), Organization(2, "Hafen Nord")),
    metadata={"plan": "pro"},
    created_at=Instant(1_799_000_000),
    connected_at=Instant(1_799_000_000),
    client=b"sealed client secret",
)
SESSION = Session(
    session=SessionId("ses_" + "b" * 26),
    tenant=TENANT,
    tenant_name="Acme MSP",
    connect_url="https://connect.example.com",
    stage=Stage.CREATED,
    binding=Binding.SESSION,
    return_to="main",
    scopes=frozenset({"monitoring"}),
    label="Hauptkonto",
    metadata={"plan": "pro"},
    created_at=Instant(1_800_000_000),
    expires_at=Instant(1_800_001_800),
    customer_app=True,
    end_user="0" * 64,
    challenge="c" * 43,
    connection=CONNECTION,
    host=Host("eu", "eu.ninjarmm.com"),
    fixed_host=True,
    client_id="a-client-app",
    client=b"sealed client secret",
    fixed_client=True,
)
RESCUED = SealedTokens(
    access=b"sealed access token",
    refresh=b"sealed refresh token",
    expires_at=Instant(1_800_003_600),
    scopes=frozenset({"monitoring", "offline_access"}),
    sent_at=Instant(1_800_000_000),
)

WORDS = {
    "status": [each.value for each in Status],
    "reason": [each.value for each in Reason],
    "stage": [each.value for each in Stage],
    "binding": [each.value for each in Binding],
    "purpose": [each.value for each in Purpose],
    "why": [each.value for each in Trigger],
}
"""What a word may be, by the attribute that holds it: an older release stumbles over a new one."""


class Paper:
    """An AWS client that writes down what it was given."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    def __getattr__(self, _name: str) -> Any:
        return lambda **parameters: self.written.append(parameters)


def written() -> dict[str, Any]:
    """Let the code of today write one of each kind."""
    s3, sqs = Paper(), Paper()
    RescueStore(s3, "bucket").put(REF, 6, RESCUED)
    Queue(sqs, "url").send_batch(Trigger.URGENT, [REF], min_ttl=Seconds(300))
    Queue(sqs, "url").send_completion(SESSION.session)
    return {
        "hot": plainly(rows.connection_state_item(HOT)),
        "fresh": plainly(rows.connection_state_item(FRESH)),
        "profile": plainly(rows.profile_item(PROFILE)),
        "session": plainly(rows.session_item(SESSION)),
        "rescued": {"key": s3.written[0]["Key"], "body": s3.written[0]["Body"].decode()},
        "order": sqs.written[0]["MessageBody"],
        "completion": sqs.written[1]["MessageBody"],
    }


def plainly(item: rows.Item) -> dict[str, dict[str, Any]]:
    """Write an item so that JSON holds it."""
    return {name: {kind: _text(held) for kind, held in cell.items()} for name, cell in item.items()}


def item(held: dict[str, dict[str, Any]]) -> rows.Item:
    """Read it back."""
    return {name: {kind: base64.b64decode(value) if kind == "B" else value for kind, value in cell.items()}
            for name, cell in held.items()}  # fmt: skip


def _text(held: Any) -> Any:
    return base64.b64encode(held).decode() if isinstance(held, bytes) else held


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(written() | {"words": WORDS}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
