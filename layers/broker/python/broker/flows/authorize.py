"""Send a person to NinjaOne: bind the browser, spend a start, check the host, leave."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from broker import ninjaone, oauth, policy
from broker.adapters.aws import retry
from broker.adapters.clock import Clock, Entropy, instant, random_secret
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.rows import session as read_session
from broker.adapters.seal import Seal, session_aad
from broker.adapters.sessions import STARTS, Sessions, Start
from broker.config import Config
from broker.errors import (
    AnotherBrowser,
    BrokerError,
    Fault,
    InvalidRequest,
    SessionExpired,
    SessionSpent,
    TooManyRequests,
    UnknownSession,
)
from broker.model import Client, Host, Instant, Purpose, Session, SessionId, Stage, sha256_hex
from broker.secret import Secret


@dataclass(frozen=True)
class AuthorizeRequest:
    """What the person sent: where to, with which client app, and whether to skip the host check.

    cookie   the browser's cookie for this session, if it brought one
    """

    session: SessionId
    host: Host
    client: Client | None
    cookie: Secret | None
    check_host: bool


@dataclass(frozen=True)
class FlowSecrets:
    """What is fresh for every start."""

    state: Secret
    cookie: Secret
    verifier: Secret


_PROBE = FlowSecrets(Secret("check"), Secret(""), Secret("check" * 9))
"""What the host check shows NinjaOne instead: nothing of the person's."""


class HostCheck(Enum):
    """What NinjaOne said to an authorization request without a person."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # 404: region, client id or platform is wrong
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class AuthorizeRedirect:
    """The way to NinjaOne, or why it is better not taken yet.

    cookie   to set in the browser, whichever it is
    """

    session: Session
    location: str
    cookie: Secret
    host_check: HostCheck

    @property
    def is_doubtful(self) -> bool:
        """Say whether the person should look at their choice again before they leave."""
        return self.host_check is not HostCheck.KNOWN


class StartAuthorization:
    """Starts the way to NinjaOne."""

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

    def __call__(self, departure: AuthorizeRequest) -> AuthorizeRedirect:
        """Take one start of the session and give the address at NinjaOne.

        Order    the keys, the one conditional write (again, if its answer is lost), the host check, the address
        Raises   UnknownSession, SessionExpired, SessionSpent, AnotherBrowser, TooManyRequests, InvalidRequest, Busy
        Source   RFC 6749 §4.1.1, RFC 7636 §4, RFC 9700 §2.1
        """
        drawn, now = self._draw(departure.session), instant(self._clock)
        start = self._start(departure, drawn, now)
        found = retry(lambda: self._sessions.start(departure.session, start, now), self._clock)
        if isinstance(found, ConditionFailed):
            raise self._why(found, departure, now)
        location = self._location(found, departure.host, drawn)
        check = self._check(found, departure.host) if departure.check_host else HostCheck.KNOWN
        self._log.event("session.started", session=found.session, region=departure.host.region, check=check.value)
        return AuthorizeRedirect(found, location, drawn.cookie, check)

    def count_failure(self, session: SessionId, cookie: Secret | None) -> Session:
        """Count a form that can't be used, and give the session to show it again.

        Raises   UnknownSession, SessionExpired, SessionSpent, AnotherBrowser, TooManyRequests
        """
        now = instant(self._clock)
        found = self._sessions.count_failure(session, _digest(cookie), now)
        if isinstance(found, ConditionFailed):
            raise _unusable(found, now) or self._elsewhere(found, cookie) or TooManyRequests()
        if found.stage not in {Stage.CREATED, Stage.STARTED, Stage.DENIED}:
            raise SessionSpent
        return found

    def _start(self, departure: AuthorizeRequest, drawn: FlowSecrets, now: Instant) -> Start:
        client = departure.client
        spot = session_aad(departure.session)
        return Start(
            state=sha256_hex(drawn.state.reveal()),
            cookie=sha256_hex(drawn.cookie.reveal()),
            cookie_held=_digest(departure.cookie),
            verifier=self._seal.seal(self._seal.data_key(Purpose.VERIFIER), drawn.verifier, spot),
            flow_expires_at=Instant(now + policy.FLOW_LIFE),
            host=departure.host,
            client_id=client.id if client else "",
            client=self._seal.seal(self._seal.data_key(Purpose.CLIENT), client.secret, spot) if client else None,
            offered=departure.host.region in self._config.client_ids,
        )

    def _draw(self, session: SessionId) -> FlowSecrets:
        """Draw what is fresh for every start; the state also names the session that it belongs to."""
        state, cookie, verifier = (random_secret(self._entropy) for _ in range(3))
        return FlowSecrets(Secret(f"{session}.{state.reveal()}"), cookie, verifier)

    def _location(self, session: Session, host: Host, drawn: FlowSecrets) -> str:
        return oauth.authorization_url(
            ninjaone.authorize_endpoint(host),
            client_id=session.client_id if session.customer_app else self._config.client_ids[host.region],
            redirect_uri=session.redirect_uri(host.region),
            scope=ninjaone.scope_text(session.scopes),
            state=drawn.state.reveal(),
            code_challenge=oauth.challenge(drawn.verifier),
        )

    def _check(self, session: Session, host: Host) -> HostCheck:
        """Ask as a browser without a session would: NinjaOne answers 404 to a client app it does not know.

        Source   docs/understand/ninjaone.md §1: no secret is sent and nothing changes there
        """
        with self._web() as web:
            probe = self._location(session, host, _PROBE)
            answer = web.get(probe, timeout=policy.HOST_CHECK_TIMEOUT)
        if not isinstance(answer, oauth.Reply) or answer.status >= 500:
            return HostCheck.UNREACHABLE
        return HostCheck.UNKNOWN if answer.status == 404 else HostCheck.KNOWN

    def _why(self, refusal: ConditionFailed, departure: AuthorizeRequest, now: Instant) -> BrokerError:
        """Say which clause of the write did not hold."""
        unusable = _unusable(refusal, now) or self._elsewhere(refusal, departure.cookie)
        if unusable or refusal.found is None:
            return unusable or UnknownSession()
        found = read_session(refusal.found)
        if found.starts >= STARTS:
            return TooManyRequests()
        if found.fixed_host and found.host and found.host.name != departure.host.name:
            return InvalidRequest(Fault("region", "This link is for another region."))
        if not found.customer_app and departure.client is None:
            return InvalidRequest(Fault("region", "Choose one of the regions offered."))
        return InvalidRequest(Fault("client_id", "Enter the client id and secret of your client app."))

    def _elsewhere(self, refusal: ConditionFailed, cookie: Secret | None) -> AnotherBrowser | None:
        """Say whether the session belongs to another browser than the one that brought this cookie."""
        found = read_session(refusal.found) if refusal.found else None
        if found is None or not found.cookie or found.cookie == _digest(cookie):
            return None
        self._log.event("session.refused", Level.WARNING, session=found.session, cause="another_browser")
        return AnotherBrowser()


def _digest(cookie: Secret | None) -> str:
    return sha256_hex(cookie.reveal() if cookie else "")


def _unusable(refusal: ConditionFailed, now: Instant) -> BrokerError | None:
    if refusal.found is None:
        return UnknownSession()
    found = read_session(refusal.found)
    if found.expires_at <= now:
        return SessionExpired()
    if found.stage not in {Stage.CREATED, Stage.STARTED, Stage.DENIED}:
        return SessionSpent()
    return None
