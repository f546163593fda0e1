"""Receive a person from NinjaOne: check everything, redeem the state once, park the code, send them home."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from urllib.parse import urlencode

from broker import ninjaone, oauth, policy
from broker.adapters.aws import retry
from broker.adapters.clock import Clock, Entropy, instant, random_secret
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.log import Level, Log
from broker.adapters.queues import Queue
from broker.adapters.seal import Seal, code_aad
from broker.adapters.sessions import FAILURES, Sessions
from broker.config import Config
from broker.errors import BindingMismatch, Fault, InvalidRequest, SessionExpired, SessionSpent, UnknownSession
from broker.model import Binding, Instant, Purpose, Session, SessionId, Stage, session_id, sha256_hex
from broker.secret import Secret

ORDER_WAITS = (0.2, 1.0)
"""Seconds between attempts to order a completion, while the person waits."""

_SAID = frozenset({"access_denied", "invalid_scope", "unauthorized_client", "server_error", "temporarily_unavailable"})


class AuthorizeResult(Enum):
    """How the person's part ended."""

    AGREED = "agreed"
    DENIED = "denied"
    REFUSED = "refused"


@dataclass(frozen=True)
class ReturnTo:
    """Where the person goes now; without a location they stay, for the product waits for no one (approval)."""

    session: SessionId
    location: str | None
    result: AuthorizeResult


class HandleCallback:
    """Ends the way through NinjaOne. Nothing is asked of NinjaOne here: no token exists before ``complete``."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        seal: Seal,
        completions: Queue,
        *,
        clock: Clock,
        entropy: Entropy,
        log: Log,
    ) -> None:
        self._config, self._sessions, self._seal, self._completions = config, sessions, seal, completions
        self._clock, self._entropy, self._log = clock, entropy, log

    def __call__(self, region: str, raw_query: str, cookies: Mapping[str, Secret]) -> ReturnTo:
        """Take what NinjaOne sent the browser back with.

        cookies   by session: what the browser brought; a stranger's browser brings none for this session
        Order     form, cookie, session, expiry, cookie's value, region, issuer; then one conditional write
        Raises    InvalidRequest, UnknownSession, SessionExpired, SessionSpent, BindingMismatch, Busy
        Source    RFC 6749 §4.1.2, §10.12; RFC 9207 §2.4; RFC 9700 §4.4.2, §4.7.1
        """
        reply = self._read(raw_query)
        session = self._checked(region, reply, cookies)
        if isinstance(reply, oauth.Denied):
            return self._denied(session, reply)
        ticket = random_secret(self._entropy)
        self._park(session, reply, ticket)
        if session.binding is Binding.APPROVAL:
            self._order(session.session)
        return self._home(session, {"ticket": ticket.reveal()}, AuthorizeResult.AGREED)

    def _order(self, session: SessionId) -> None:
        """Order the completion. The state is redeemed, so the person could not come here again.

        Raises   Busy, AwsRefused
        """
        retry(lambda: self._completions.send_completion(session), self._clock, ORDER_WAITS)

    def _read(self, raw_query: str) -> oauth.Authorized | oauth.Denied:
        try:
            return oauth.authorization_reply(raw_query)
        except oauth.Malformed as fault:
            raise InvalidRequest(Fault("query", str(fault))) from None

    def _checked(self, region: str, reply: oauth.Authorized | oauth.Denied, cookies: Mapping[str, Secret]) -> Session:
        named = session_id(reply.state.partition(".")[0])
        cookie = cookies.get(named) if named else None
        if named is None or cookie is None:
            raise BindingMismatch
        session = self._sessions.get(named)
        if session is None:
            raise UnknownSession
        now = instant(self._clock)
        if session.expires_at <= now or session.flow_expires_at <= now:
            raise SessionExpired
        if not hmac.compare_digest(session.cookie, sha256_hex(cookie.reveal())):
            self._log.event("callback.refused", Level.WARNING, session=named, cause="cookie")
            raise BindingMismatch
        return self._same_way(session, region, reply, now)

    def _same_way(self, session: Session, region: str, reply: oauth.Authorized | oauth.Denied, now: Instant) -> Session:
        """Check what only the session's own browser gets this far to break; each miss counts."""
        if session.stage is not Stage.STARTED:
            raise SessionSpent
        host = session.host
        issuer_fits = host is not None and reply.issuer in {None, ninjaone.issuer(host)}
        state_fits = hmac.compare_digest(session.state, sha256_hex(reply.state))
        if host is None or host.region != region or not issuer_fits or not state_fits:
            self._sessions.count_failure(session.session, session.cookie, now)
            self._log.event("callback.refused", Level.WARNING, session=session.session, cause="another_way")
            raise BindingMismatch
        if session.failures >= FAILURES:
            raise SessionSpent
        return session

    def _park(self, session: Session, reply: oauth.Authorized, ticket: Secret) -> None:
        """Keep the code, sealed, for the seconds until the backend completes."""
        now, ticket_held = instant(self._clock), sha256_hex(ticket.reveal())
        key = self._seal.data_key(Purpose.CODE)
        code = self._seal.seal(key, reply.code, code_aad(session, ticket_held))
        stored = partial(
            self._sessions.authorize, session.session, state=session.state, code=code,
            code_expires_at=Instant(now + policy.CODE_LIFE), ticket=ticket_held, now=now,
        )  # fmt: skip
        found = retry(stored, self._clock)
        if isinstance(found, ConditionFailed):
            raise SessionSpent
        self._log.event("session.authorized", session=session.session)

    def _denied(self, session: Session, reply: oauth.Denied) -> ReturnTo:
        """Tell the product; the text is ours, whatever NinjaOne wrote."""
        if isinstance(
            self._sessions.deny(session.session, state=session.state, now=instant(self._clock)), ConditionFailed
        ):
            raise SessionSpent
        error = reply.error if reply.error in _SAID else "server_error"
        self._log.event("session.denied", Level.WARNING, session=session.session, error=error)
        said = AuthorizeResult.DENIED if error == "access_denied" else AuthorizeResult.REFUSED
        return self._home(session, {"error": error}, said)

    def _home(self, session: Session, more: Mapping[str, str], said: AuthorizeResult) -> ReturnTo:
        if session.binding is Binding.APPROVAL:
            return ReturnTo(session.session, None, said)
        base = self._config.return_urls.get(session.return_to)
        if base is None:
            raise SessionExpired  # the operator took the return address off the list meanwhile
        return ReturnTo(session.session, f"{base}?{urlencode({'connect_session': session.session, **more})}", said)
