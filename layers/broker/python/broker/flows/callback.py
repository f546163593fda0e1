"""Handle a person's return from NinjaOne: check everything, redeem the state once, store the code, redirect them."""

import hmac
from dataclasses import dataclass
from enum import Enum
from functools import partial

from broker import ninjaone, oauth, policy
from broker.adapters.aws import retry
from broker.adapters.clock import Clock, instant
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.log import Level, Log
from broker.adapters.queues import Queue
from broker.adapters.seal import Seal, code_aad
from broker.adapters.sessions import MAX_FAILURES, Sessions
from broker.config import Config
from broker.errors import (
    BindingMismatch,
    BrokerError,
    Fault,
    InvalidRequest,
    SessionExpired,
    SessionSpent,
    UnknownSession,
)
from broker.flows import binding
from broker.flows.return_url import return_url
from broker.model import Binding, Instant, Purpose, Session, SessionId, Stage, sha256_hex
from broker.secret import Secret

REQUEST_WAITS = (0.2, 1.0)
"""Seconds between attempts to request the completion, while the person waits."""

_FORWARDED_ERRORS = frozenset(
    {"access_denied", "invalid_scope", "unauthorized_client", "server_error", "temporarily_unavailable"}
)


class AuthorizeResult(Enum):
    """How the person's part ended."""

    AGREED = "agreed"
    DENIED = "denied"
    REFUSED = "refused"


@dataclass(frozen=True)
class ReturnTo:
    """Where the person goes now; without a location they stay, because with approval the product does not wait."""

    session: SessionId
    location: str | None
    result: AuthorizeResult


class HandleCallback:
    """Ends the authorization. NinjaOne is not called here: no token is requested before ``complete``."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        seal: Seal,
        completions: Queue,
        *,
        clock: Clock,
        log: Log,
    ) -> None:
        self._config, self._sessions, self._seal, self._completions = config, sessions, seal, completions
        self._clock, self._log = clock, log

    def __call__(self, region: str, raw_query: str, named: SessionId | None, cookie: Secret | None) -> ReturnTo:
        """Handle the query with which NinjaOne sent the browser back.

        The same browser with the same state returns to the product with the same ticket for as long as the code lives,
        because the first answer may be lost. The first code is kept, so there is still only one exchange.

        Args:
            named: the session that the state in the query names, if it is well-formed
            cookie: the browser's cookie for that session; a stranger's browser has none

        The checks, in order: form, cookie, session, expiry, the cookie's value, region, issuer, state. Then one
        conditional write follows.

        Raises:
            InvalidRequest, UnknownSession, SessionExpired, SessionSpent, BindingMismatch, AwsError

        See RFC 6749 §4.1.2, §10.12; RFC 9207 §2.4; RFC 9700 §4.4.2, §4.7.1.
        """
        reply = self._read(raw_query)
        session, cookie = self._authenticate_browser(named, cookie)
        try:
            return self._redeem(session, cookie, region, reply)
        except BrokerError as error:
            error.return_to = session.return_to
            raise

    def _redeem(
        self, session: Session, cookie: Secret, region: str, reply: oauth.Authorized | oauth.Denied
    ) -> ReturnTo:
        self._check_flow(session, region, reply)
        ticket = binding.ticket(cookie, reply.state)
        if session.stage is not Stage.STARTED:
            self._check_repeated(session, reply)
        elif isinstance(reply, oauth.Denied):
            self._deny(session, reply)
        else:
            session = self._store(session, reply, ticket)
        return self._denied(session, reply) if isinstance(reply, oauth.Denied) else self._agreed(session, ticket)

    def _check_repeated(self, session: Session, reply: oauth.Authorized | oauth.Denied) -> None:
        """Check that a redeemed state is repeated with the same kind of answer, and in time.

        State and browser have been found to be the same, so the browser returns with the same ticket.

        Raises:
            SessionSpent, SessionExpired
        """
        now = instant(self._clock)
        if isinstance(reply, oauth.Denied):
            if session.stage is not Stage.DENIED or session.flow_expires_at <= now:
                raise SessionSpent
            return
        if session.code_expires_at <= now:
            raise SessionExpired if session.stage is Stage.AUTHORIZED else SessionSpent

    def _agreed(self, session: Session, ticket: Secret) -> ReturnTo:
        if session.binding is Binding.APPROVAL and session.stage is Stage.AUTHORIZED:
            self._request_completion(session.session)
        return self._return_to_product(session, AuthorizeResult.AGREED, ticket=ticket.reveal())

    def _request_completion(self, session: SessionId) -> None:
        """Request the completion; requested twice, it is still done once. Raises AwsError."""
        retry(lambda: self._completions.send_completion(session), self._clock, REQUEST_WAITS)

    def _read(self, raw_query: str) -> oauth.Authorized | oauth.Denied:
        try:
            return oauth.authorization_reply(raw_query)
        except oauth.Malformed as fault:
            raise InvalidRequest(Fault("query", str(fault))) from None

    def _authenticate_browser(self, named: SessionId | None, cookie: Secret | None) -> tuple[Session, Secret]:
        """Find the session, and check that the cookie proves this browser to be the one that started it."""
        if named is None or cookie is None:
            raise BindingMismatch
        session = self._sessions.get(named)
        if session is None:
            raise UnknownSession
        now = instant(self._clock)
        if session.stage is Stage.STARTED and (session.expires_at <= now or session.flow_expires_at <= now):
            raise SessionExpired
        if not hmac.compare_digest(session.cookie_hash, binding.digest(cookie)):
            self._log.event("callback.refused", Level.WARNING, session=named, cause="cookie")
            raise BindingMismatch
        return session, cookie

    def _check_flow(self, session: Session, region: str, reply: oauth.Authorized | oauth.Denied) -> None:
        """Check region, issuer and state. Only the session's own browser gets this far, so each mismatch is counted."""
        host = session.host
        host_fits = host is not None and host.region == region and reply.issuer in {None, ninjaone.issuer(host)}
        state_fits = hmac.compare_digest(session.state_hash, sha256_hex(reply.state))
        if not host_fits or not state_fits:
            self._sessions.count_failure(session.session, session.cookie_hash, instant(self._clock))
            self._log.event("callback.refused", Level.WARNING, session=session.session, cause="another_way")
            raise BindingMismatch
        if session.failures >= MAX_FAILURES:
            raise SessionSpent

    def _store(self, session: Session, reply: oauth.Authorized, ticket: Secret) -> Session:
        """Store the code, sealed, for the seconds until the backend completes."""
        now, ticket_hash = instant(self._clock), sha256_hex(ticket.reveal())
        key = self._seal.data_key(Purpose.CODE)
        code = self._seal.seal(key, reply.code, code_aad(session, ticket_hash))
        stored = partial(
            self._sessions.authorize, session.session, state_hash=session.state_hash, code=code,
            code_expires_at=Instant(now + policy.CODE_LIFE), ticket_hash=ticket_hash, now=now,
        )  # fmt: skip
        found = retry(stored, self._clock)
        if isinstance(found, ConditionFailed):
            raise SessionSpent
        self._log.event("session.authorized", session=session.session)
        return found

    def _deny(self, session: Session, reply: oauth.Denied) -> None:
        """Redeem the state without a code. Raises SessionSpent."""
        denied = self._sessions.deny(session.session, state_hash=session.state_hash, now=instant(self._clock))
        if isinstance(denied, ConditionFailed):
            raise SessionSpent
        self._log.event("session.denied", Level.WARNING, session=session.session, error=_public_error_code(reply))

    def _denied(self, session: Session, reply: oauth.Denied) -> ReturnTo:
        """Return to the product with an error code of our own, never with NinjaOne's text."""
        error = _public_error_code(reply)
        result = AuthorizeResult.DENIED if error == "access_denied" else AuthorizeResult.REFUSED
        return self._return_to_product(session, result, error=error)

    def _return_to_product(self, session: Session, result: AuthorizeResult, **parameters: str) -> ReturnTo:
        if session.binding is Binding.APPROVAL:
            return ReturnTo(session.session, None, result)
        return ReturnTo(session.session, return_url(self._config, session, **parameters), result)


def _public_error_code(reply: oauth.Denied) -> str:
    return reply.error if reply.error in _FORWARDED_ERRORS else "server_error"
