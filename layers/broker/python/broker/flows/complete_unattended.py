"""Complete a session for which no backend calls: its connection then waits for approval.

Nobody reads an answer. A failure that may pass is raised, so that the queue delivers the message again; once the
session can't be completed any more, the event ``session.failed`` says why.
"""

from broker import policy
from broker.adapters.aws import retry, while_left
from broker.adapters.bus import Bus, Detail, Event
from broker.adapters.clock import Clock, instant
from broker.adapters.log import Level, Log
from broker.adapters.sessions import Sessions
from broker.config import Config
from broker.errors import AwsError, AwsUnavailable, BindingMismatch, BrokerError, Busy
from broker.flows.complete import Complete, deadline, end_of
from broker.model import Binding, Instant, Session, SessionId, Stage


class CompleteUnattended:
    """Completes sessions from the queue, if the operator allows that."""

    def __init__(
        self, config: Config, sessions: Sessions, complete: Complete, bus: Bus, *, clock: Clock, log: Log
    ) -> None:
        self._config, self._sessions, self._complete, self._bus = config, sessions, complete, bus
        self._clock, self._log = clock, log

    def __call__(self, session: SessionId) -> None:
        """Complete it, or publish that this is not possible any more.

        Transient errors are retried here, because the code would expire before the queue delivers the message again.

        Raises:
            BrokerError: the queue delivers the message again
        """
        until = deadline(self._clock)
        patience = while_left(lambda: until - self._clock.now() - policy.COMPLETE_TIMEOUT / 2)
        try:
            retry(lambda: self._advance(session, until), self._clock, patience, also=(Busy,))
        except (AwsError, Busy):
            raise
        except BrokerError:
            self._log.count("completions_failed")
            if not self._publish_end(session):
                raise

    def _advance(self, session: SessionId, until: float) -> None:
        found = self._sessions.get(session)
        if found is None or found.binding is not Binding.APPROVAL or not self._config.approval_binding:
            raise BindingMismatch
        if found.stage is not Stage.COMPLETED:
            self._complete.advance(found, until, confirmed=False)

    def _publish_end(self, session: SessionId) -> bool:
        """Publish why the session can't be completed any more, and return True, if that is so. Raises AwsError."""
        found, now = self._sessions.get(session), instant(self._clock)
        if found is None or not _has_ended(found, now):
            return False
        reason = end_of(found, now).slug()
        self._log.event("session.failed", Level.WARNING, tenant=found.tenant, session=session, reason=reason)
        detail: Detail = {
            "id": f"{session}.{found.authorized_at}.failed",
            "at": now,
            "tenant_id": found.tenant,
            "session_id": session,
            "reason": reason,
        }
        retry(lambda: self._publish(Event("session.failed", now, detail)), self._clock)
        return True

    def _publish(self, event: Event) -> None:
        if not self._bus.put([event]):
            self._log.event("events.not_sent", Level.ERROR, left=1)
            self._log.count("events_not_sent")
            raise AwsUnavailable


def _has_ended(session: Session, now: Instant) -> bool:
    """Return whether a person agreed and no call can complete the session, unless the person agrees again."""
    is_late = session.stage is Stage.AUTHORIZED and session.code_expires_at <= now
    return is_late or session.stage is Stage.FAILED
