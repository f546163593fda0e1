"""Which connections can be used, and the error for each that can't."""

from broker.errors import NeedsReauth, NotActive, NotApproved, UnknownConnection
from broker.model import ConnectionState, Reason, Status


def require_usable(row: ConnectionState | None) -> ConnectionState:
    """Return a connection's row, unless it is missing, disconnected, or waits for its approval.

    Raises:
        UnknownConnection, NotActive, NotApproved
    """
    if row is None:
        raise UnknownConnection
    if row.status is Status.DISCONNECTED:
        raise NotActive
    if row.status is Status.PENDING_APPROVAL:
        raise NotApproved
    return row


def require_consent(row: ConnectionState) -> None:
    """Raise NeedsReauth if only the connection's customer can help, by reconnecting it."""
    if row.status is Status.NEEDS_REAUTH:
        raise NeedsReauth((row.reason or Reason.REVOKED).value, row.connection)
