"""Send a person to NinjaOne: bind the session to the browser, count the start, check the host, redirect."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from broker import ninjaone, oauth, policy
from broker.adapters.aws import retry
from broker.adapters.clock import Clock, Entropy, instant, random_secret
from broker.adapters.dynamo import ConditionFailed
from broker.adapters.http import HttpClient
from broker.adapters.log import Level, Log
from broker.adapters.rows import session as read_session
from broker.adapters.seal import Seal, session_aad
from broker.adapters.sessions import Sessions, Start, starts_left
from broker.config import Config
from broker.errors import AnotherBrowser, Fault, InvalidRequest, TooManyRequests
from broker.flows import binding
from broker.flows.connect import require_startable_session
from broker.model import Client, Host, Instant, Purpose, Session, SessionId, SessionPurpose, Stage, sha256_hex
from broker.secret import Secret


@dataclass(frozen=True)
class AuthorizeRequest:
    """What the person sent: the host, the client app, and whether to skip the host check.

    Attributes:
        cookie: the browser's cookie for this session, if it has one: the connect page sets it
    """

    session: SessionId
    host: Host
    client: Client | None
    cookie: Secret | None
    check_host: bool


@dataclass(frozen=True)
class FlowSecrets:
    """State, code verifier and cookie of one flow, derived from the browser's cookie and the flow's nonce."""

    state: Secret
    cookie: Secret
    code_verifier: Secret

    @classmethod
    def of(cls, cookie: Secret, session: SessionId, flow: str) -> "FlowSecrets":
        """Derive the secrets of a flow."""
        return cls(binding.state(cookie, session, flow), cookie, binding.code_verifier(cookie, session, flow))


_HOST_CHECK_SECRETS = FlowSecrets(Secret("check"), Secret(""), Secret("check" * 9))
"""What the host check sends to NinjaOne instead: nothing of the person's."""


class HostCheck(Enum):
    """What NinjaOne answered to an authorization request that no person makes."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # 404: region, client id or platform is wrong
    UNREACHABLE = "unreachable"


@dataclass(frozen=True)
class AuthorizeRedirect:
    """The redirect to NinjaOne, with the result of the host check.

    Attributes:
        cookie: to set in the browser, whatever the result
    """

    session: Session
    location: str
    cookie: Secret
    host_check: HostCheck

    @property
    def is_doubtful(self) -> bool:
        """Whether the person should check their choice before they leave."""
        return self.host_check is not HostCheck.KNOWN


class StartAuthorization:
    """Starts the authorization at NinjaOne."""

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

    def __call__(self, request: AuthorizeRequest) -> AuthorizeRedirect:
        """Use one of the session's starts and return the address at NinjaOne.

        A browser that sends the same form again within a minute gets the address of the flow that is under way, because
        the first answer may be lost, and whichever of the two it follows must work.

        The steps: the data keys; one conditional write, repeated if its answer is lost; the host check; the address.

        Raises:
            UnknownSession, SessionExpired, SessionSpent, AwaitingCompletion, AnotherBrowser, TooManyRequests,
                InvalidRequest, AwsError

        See RFC 6749 §4.1.1, RFC 7636 §4, RFC 9700 §2.1.
        """
        now, cookie = instant(self._clock), request.cookie or random_secret(self._entropy)
        flow = random_secret(self._entropy).reveal()
        start = self._start(request, FlowSecrets.of(cookie, request.session, flow), flow, now)
        found = retry(lambda: self._sessions.start(request.session, start, now), self._clock)
        if isinstance(found, ConditionFailed):
            again = self._sessions.start_again(request.session, start, now)
            found = self._refused(found, request, now) if isinstance(again, ConditionFailed) else again
        secrets = FlowSecrets.of(cookie, request.session, found.flow_nonce)
        location = self._location(found, request.host, secrets)
        check = self._check(found, request.host) if request.check_host else HostCheck.KNOWN
        self._log.event("session.started", session=found.session, region=request.host.region, check=check.value)
        return AuthorizeRedirect(found, location, cookie, check)

    def note_faulty_form(self, session: SessionId, cookie: Secret | None) -> Session:
        """Return the session, to show the form again after an unusable one. The session stays as usable as it was.

        Raises:
            UnknownSession, SessionExpired, SessionSpent, AwaitingCompletion, AnotherBrowser
        """
        now = instant(self._clock)
        found = self._sessions.note_faulty_form(session, _digest(cookie), now)
        return self._require_startable(found, cookie, now) if isinstance(found, ConditionFailed) else found

    def _start(self, request: AuthorizeRequest, secrets: FlowSecrets, flow: str, now: Instant) -> Start:
        client, host = request.client, request.host
        aad = session_aad(request.session)
        chosen = (host.name, client.id if client else "", client.secret.reveal() if client else "")
        return Start(
            state_hash=sha256_hex(secrets.state.reveal()),
            cookie_hash=binding.digest(secrets.cookie),
            flow_nonce=flow,
            form_digest=binding.form_digest(secrets.cookie, *chosen),
            code_verifier=self._seal.seal(self._seal.data_key(Purpose.VERIFIER), secrets.code_verifier, aad),
            flow_expires_at=Instant(now + policy.FLOW_LIFE),
            host=host,
            client_id=client.id if client else "",
            client=self._seal.seal(self._seal.data_key(Purpose.CLIENT), client.secret, aad) if client else None,
            offered=host.region in self._config.client_ids,
        )

    def _location(self, session: Session, host: Host, secrets: FlowSecrets) -> str:
        return oauth.authorization_url(
            ninjaone.authorize_endpoint(host),
            client_id=session.client_id if session.customer_app else self._config.client_ids[host.region],
            redirect_uri=session.redirect_uri(host.region),
            scope=ninjaone.scope_text(session.scopes),
            state=secrets.state.reveal(),
            code_challenge=oauth.challenge(secrets.code_verifier),
        )

    def _check(self, session: Session, host: Host) -> HostCheck:
        """Request authorization as a browser without a session would: NinjaOne answers 404 to an unknown client app.

        No secret is sent and nothing changes at NinjaOne. See docs/understand/ninjaone.md §1.
        """
        with self._web() as web:
            probe = self._location(session, host, _HOST_CHECK_SECRETS)
            answer = web.get(probe, timeout=policy.HOST_CHECK_TIMEOUT)
        if not isinstance(answer, oauth.Reply) or answer.status >= 500:
            return HostCheck.UNREACHABLE
        return HostCheck.UNKNOWN if answer.status == 404 else HostCheck.KNOWN

    def _refused(self, refusal: ConditionFailed, request: AuthorizeRequest, now: Instant) -> NoReturn:
        """Raise the error for the clause of the write that did not hold."""
        found = self._require_startable(refusal, request.cookie, now)
        if found.purpose is not SessionPurpose.CONNECT:
            raise InvalidRequest(Fault("session", "This link is only for entering a new client secret."))
        if not starts_left(refusal.found, now):
            raise TooManyRequests
        fixed = found.host if found.fixed_host else None
        if fixed and fixed.name != request.host.name:
            raise InvalidRequest(Fault("region", "This link is for another region."))
        if not found.customer_app and request.client is None:
            raise InvalidRequest(Fault("region", "Choose one of the regions offered."))
        raise InvalidRequest(Fault("client_id", "Enter the client id and secret of your client app."))

    def _require_startable(self, refusal: ConditionFailed, cookie: Secret | None, now: Instant) -> Session:
        """Return the session as it was found, if the browser with this cookie may start it.

        Raises:
            UnknownSession, SessionExpired, SessionSpent, AwaitingCompletion, AnotherBrowser
        """
        found = require_startable_session(read_session(refusal.found) if refusal.found else None, now)
        if found.stage is Stage.STARTED and found.flow_expires_at > now and found.cookie_hash != _digest(cookie):
            self._log.event("session.refused", Level.WARNING, session=found.session, cause="another_browser")
            another = AnotherBrowser()
            another.return_to = found.return_to
            raise another
        return found


def _digest(cookie: Secret | None) -> str:
    return binding.digest(cookie) if cookie else ""
