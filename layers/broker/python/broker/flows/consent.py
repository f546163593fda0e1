"""Builds the two rows of a connection from what a person agreed to."""

from dataclasses import dataclass

from broker import policy
from broker.adapters.connections import RECONNECT_STEP
from broker.model import (
    Binding,
    Client,
    Connection,
    ConnectionId,
    ConnectionState,
    Host,
    Instant,
    Organization,
    Profile,
    Session,
    Status,
    Tokens,
)


@dataclass(frozen=True)
class Consent:
    """What a person agreed to, and what it replaces.

    Attributes:
        replaces: the connection that a reconnect replaces
        organizations: those of the account; None if NinjaOne gave no usable answer
        same_as: the active connection of the same NinjaOne account, if there is one
    """

    session: Session
    host: Host
    client: Client
    replaces: Connection | None
    tokens: Tokens
    organizations: tuple[Organization, ...] | None
    same_as: ConnectionId | None = None


def new_state(
    consent: Consent, connection: ConnectionId, *, epoch: int, now: Instant, jitter: float
) -> ConnectionState:
    """Build the state row, without its tokens. A connection that waits for approval is not refreshed."""
    session, expires_at = consent.session, consent.tokens.expires_at
    old = consent.replaces.state if consent.replaces else None
    pending = session.binding is Binding.APPROVAL
    return ConnectionState(
        tenant=session.tenant,
        connection=connection,
        status=Status.PENDING_APPROVAL if pending else Status.ACTIVE,
        host=consent.host,
        client_id=consent.client.id,
        customer_app=consent.client.customer_app,
        version=old.version + RECONNECT_STEP if old else 1,
        fence=old.fence + RECONNECT_STEP if old else 0,
        epoch=epoch,
        token_expires_at=expires_at,
        sent_at=now,
        consented_at=session.authorized_at,
        scopes=consent.tokens.scopes or session.scopes,
        refresh_at=None if pending else policy.refresh_at(now, expires_at, jitter, anew=True),
        due_shard=None if pending else policy.shard(connection),
        same_as=consent.same_as,
    )


def new_profile(consent: Consent, connection: ConnectionId, now: Instant) -> Profile:
    """Build the profile row; what the new consent does not specify stays as it was."""
    session = consent.session
    old = consent.replaces.profile if consent.replaces else None
    return Profile(
        tenant=session.tenant,
        connection=connection,
        label=session.label or (old.label if old else _label(consent)),
        organizations=consent.organizations
        or (),  # never the old ones: an account without any would be taken for theirs
        metadata=session.metadata or (old.metadata if old else {}),
        created_at=old.created_at if old else now,
        connected_at=now,
    )


def _label(consent: Consent) -> str:
    return consent.organizations[0].name if consent.organizations else consent.host.name
