"""Take the new secret of a customer's own client app from the person, and check it with NinjaOne."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from broker import ninjaone, oauth, policy
from broker.adapters.clock import Clock, Entropy, instant, random_secret
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.rows import session as read_session
from broker.adapters.seal import Seal, code_aad
from broker.adapters.sessions import Sessions, starts_left
from broker.config import Config
from broker.errors import (
    AnotherBrowser,
    Fault,
    InvalidRequest,
    SessionSpent,
    TooManyRequests,
)
from broker.flows import binding
from broker.flows.connect import require_startable_session
from broker.flows.return_url import return_url
from broker.model import (
    Client,
    Host,
    Instant,
    Purpose,
    Seconds,
    Session,
    SessionId,
    SessionPurpose,
    sha256_hex,
)
from broker.ninjaone import UNKNOWN_CLIENT, Outcome
from broker.secret import Secret

NO_TOKEN = Secret("ninjaone-connect-asks-whether-the-client-secret-is-right")
"""An invalid refresh token, with which a secret is checked: if the secret is right, NinjaOne rejects the token."""

_WRONG: Mapping[str, str] = {
    "invalid_client": "NinjaOne refuses this secret. Copy it again, or let NinjaOne make a new one.",
    UNKNOWN_CLIENT: "NinjaOne does not know this client app any more. Reconnect with another client app.",
}


@dataclass(frozen=True)
class EnteredSecret:
    """The result of entering a secret.

    Attributes:
        cookie: to set in the browser, whatever the result
        location: the product's return address with the ticket
        fault: why NinjaOne refused the secret; then nothing was stored
    """

    session: Session
    cookie: Secret
    location: str
    fault: Fault | None = None


class EnterSecret:
    """Stores a secret in its session, sealed, until the product proves who the person is."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        seal: Seal,
        *,
        web: Callable[[], HttpClient],
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._config, self._sessions, self._seal, self._web = config, sessions, seal, web
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, session: SessionId, secret: Secret, cookie: Secret | None) -> EnteredSecret:
        """Check a secret and save it. The same browser may enter another until the product completes.

        Args:
            cookie: the browser's cookie for this session, if it has one: the page sets it

        The steps are: count the attempt, ask NinjaOne, seal, save.

        Raises:
            UnknownSession, SessionExpired, SessionSpent, AnotherBrowser, TooManyRequests, InvalidRequest, AwsError
        """
        cookie = cookie or random_secret(self._entropy)
        found = self._count_attempt(session, cookie)
        refusal = self._why_refused(found, secret)
        if refusal:
            return EnteredSecret(found, cookie, "", Fault("client_secret", refusal))
        ticket = binding.ticket(cookie, f"{session}.{SessionPurpose.CLIENT_SECRET}")
        self._store(found, secret, cookie, sha256_hex(ticket.reveal()))
        return EnteredSecret(found, cookie, return_url(self._config, found, ticket=ticket.reveal()))

    def note_faulty_form(self, session: SessionId, cookie: Secret | None) -> Session:
        """Count a form without a well-formed secret, and return the session to show the form again."""
        return self._count_attempt(session, cookie or random_secret(self._entropy))

    def _count_attempt(self, session: SessionId, cookie: Secret) -> Session:
        now = instant(self._clock)
        found = self._sessions.try_secret(session, binding.digest(cookie), now)
        return self._raise_refusal(found, now) if isinstance(found, ConditionFailed) else found

    def _why_refused(self, session: Session, secret: Secret) -> str | None:
        """Return why NinjaOne refuses the secret. An inconclusive answer accepts it: the next refresh decides."""
        if session.host is None:
            raise SessionSpent
        client = Client(session.client_id, secret, customer_app=True)
        with self._web() as web:
            outcome = check_secret(
                web, session.host, client, now=instant(self._clock), timeout=policy.SECRET_CHECK_TIMEOUT
            )
        refusal = _WRONG.get(outcome.code)
        level = Level.WARNING if refusal else Level.INFO
        self._log.event("secret.checked", level, session=session.session, tenant=session.tenant, code=outcome.code)
        return refusal

    def _store(self, session: Session, secret: Secret, cookie: Secret, ticket_hash: str) -> None:
        now = instant(self._clock)
        stored = self._sessions.enter_secret(
            session.session,
            client=self._seal.seal(self._seal.data_key(Purpose.CLIENT), secret, code_aad(session, ticket_hash)),
            cookie_hash=binding.digest(cookie),
            ticket_hash=ticket_hash,
            expires_at=Instant(now + policy.SECRET_KEPT),
            now=now,
        )
        if isinstance(stored, ConditionFailed):
            self._raise_refusal(stored, now)
        self._log.event("session.secret_entered", session=session.session, tenant=session.tenant)

    def _raise_refusal(self, refusal: ConditionFailed, now: Instant) -> NoReturn:
        """Raise the error for the clause of the write that did not hold."""
        found = require_startable_session(read_session(refusal.found) if refusal.found else None, now)
        if found.purpose is not SessionPurpose.CLIENT_SECRET:
            raise InvalidRequest(Fault("session", "This link is not for entering a new client secret."))
        if starts_left(refusal.found, now):
            self._log.event("session.refused", Level.WARNING, session=found.session, cause="another_browser")
            raise AnotherBrowser
        raise TooManyRequests


def check_secret(web: HttpClient, host: Host, client: Client, *, now: Instant, timeout: Seconds) -> Outcome:
    """Ask NinjaOne to refresh with an invalid token: only the answer ``invalid_client`` means a wrong secret.

    See docs/understand/ninjaone.md §9 U4.
    """
    form = oauth.refresh_grant(client, NO_TOKEN)
    return ninjaone.classify(web.post(ninjaone.token_endpoint(host), form, timeout=timeout), now)
