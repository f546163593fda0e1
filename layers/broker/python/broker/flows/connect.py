"""Show a connect session to the person who follows its link."""

from broker.adapters.clock import Clock, instant
from broker.adapters.sessions import Sessions
from broker.errors import AwaitingCompletion, SessionExpired, SessionSpent, UnknownSession
from broker.model import Session, SessionId, Stage


class FindSession:
    """Finds the session of a link. Nothing is written: mail scanners and link previews open links too."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    def __call__(self, session: SessionId | None) -> Session:
        """Find a session that can still be started.

        Raises   UnknownSession, SessionExpired, AwaitingCompletion, SessionSpent
        """
        found = self._sessions.get(session) if session else None
        if found is None:
            raise UnknownSession
        if found.expires_at <= instant(self._clock):
            raise SessionExpired
        if found.stage in {Stage.AUTHORIZED, Stage.EXCHANGING}:
            raise AwaitingCompletion
        if found.stage not in {Stage.CREATED, Stage.STARTED, Stage.DENIED}:
            raise SessionSpent
        return found
