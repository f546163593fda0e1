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

        Raises:
            UnknownSession, SessionExpired, AwaitingCompletion, SessionSpent
        """
        return usable(self._sessions.get(session) if session else None, instant(self._clock))


def usable(found: Session | None, now: Instant) -> Session:
    """Give a session that somebody can start.

    A person whose code ran out before the product completed may start again, as long as the link lives.

    Raises:
        UnknownSession
        SessionExpired, AwaitingCompletion, SessionSpent, which say where the session returns to
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
    return SessionSpent() if found.stage in {Stage.COMPLETED, Stage.FAILED} else None
