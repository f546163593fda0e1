"""Show a connect session to the person who follows its link."""

from broker.adapters.clock import Clock, instant
from broker.adapters.sessions import Sessions
from broker.errors import AwaitingCompletion, BrokerError, SessionExpired, SessionSpent, UnknownSession
from broker.model import Instant, Session, SessionId, SessionPurpose, Stage


class FindSession:
    """Finds the session of a link. Nothing is written: mail scanners and link previews open links too."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    def __call__(self, session: SessionId | None) -> Session:
        """Find a session that can still be started.

        Raises   UnknownSession, SessionExpired, AwaitingCompletion, SessionSpent
        """
        found = self._sessions.get(session) if session else None
        refused = unusable(found, instant(self._clock))
        if refused or found is None:
            raise refused or UnknownSession
        return found


def unusable(found: Session | None, now: Instant) -> BrokerError | None:
    """Say why a session can't be started by anybody; None where it can.

    A person whose code ran out before the product completed may start again, as long as the link lives.
    """
    if found is None:
        return UnknownSession()
    error = _unusable(found, now)
    if error:
        error.return_to = found.return_to
    return error


def _unusable(found: Session, now: Instant) -> BrokerError | None:
    if found.expires_at <= now:
        return SessionExpired()
    is_agreed = found.stage is Stage.AUTHORIZED and found.code_expires_at > now
    if found.purpose is SessionPurpose.CLIENT_SECRET and is_agreed:
        return None  # the browser that entered the secret may enter another, until the product completes
    if is_agreed or found.stage in {Stage.EXCHANGING, Stage.EXCHANGED}:
        return AwaitingCompletion()
    return SessionSpent() if found.stage in {Stage.COMPLETED, Stage.FAILED} else None
