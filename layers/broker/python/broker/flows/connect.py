"""Find the connect session of a link that a person opens."""

from broker.adapters.clock import Clock, instant
from broker.adapters.sessions import Sessions
from broker.errors import AwaitingCompletion, BrokerError, ClientAppError, SessionExpired, SessionSpent, UnknownSession
from broker.model import Instant, Session, SessionId, SessionPurpose, Stage

_REFUSED_APPS = {kind.__name__: kind.detail for kind in ClientAppError.__subclasses__()}
"""Failure of a session → what its customer can correct in their own client app."""


class FindSession:
    """Finds the session of a link. Nothing is written, because mail scanners and link previews open links too."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    def __call__(self, session: SessionId | None) -> Session:
        """Find a session that can still be started.

        Raises:
            UnknownSession, SessionExpired, AwaitingCompletion, SessionSpent
        """
        return require_startable_session(self._sessions.get(session) if session else None, instant(self._clock))


def require_startable_session(found: Session | None, now: Instant) -> Session:
    """Return the session if somebody can start it.

    A person whose code expired before the product completed may start again, as long as the link is valid.

    Raises:
        UnknownSession
        SessionExpired, AwaitingCompletion, SessionSpent: with the session's ``return_to``
    """
    if found is None:
        raise UnknownSession
    if error := _unusable(found, now):
        error.return_to = found.return_to
        raise error
    return found


def _unusable(found: Session, now: Instant) -> BrokerError | None:
    if found.expires_at <= now:
        return SessionExpired()
    is_agreed = found.stage is Stage.AUTHORIZED and found.code_expires_at > now
    if found.purpose is SessionPurpose.CLIENT_SECRET and is_agreed:
        return None  # the browser that entered the secret may enter another, until the product completes
    if is_agreed or found.stage in {Stage.EXCHANGING, Stage.EXCHANGED}:
        return AwaitingCompletion()
    if found.stage is Stage.FAILED:
        return SessionSpent(_REFUSED_APPS.get(found.failure) if found.customer_app else None)
    return SessionSpent() if found.stage is Stage.COMPLETED else None
