"""The authorize endpoint, between leaving the product and coming back (docs/understand/ninjaone.md §1, §7).

Order: is the app known here and interactive; who is there; is the redirect URI registered; is the rest of
the request good; may the person consent; the consent page.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from ninjaone_emulator import pages, signin
from ninjaone_emulator.errors import not_for_client
from ninjaone_emulator.message import RepeatedParameter, Reply, Request, failure, redirect
from ninjaone_emulator.state import ClientApp, Code, Grant, Person, State

STATE_LIMIT = 2048

Params = dict[str, str]


@dataclass(frozen=True)
class Asked:
    """An authorize request of a known app by a known person.

    Attributes:
        decision: the consent form, when it was posted
    """

    request: Request
    app: ClientApp
    person: Person
    params: Params
    decision: Params

    @property
    def scope(self) -> tuple[str, ...]:
        """The scopes, each once, in the order asked for."""
        return tuple(dict.fromkeys(self.params.get("scope", "").split()))

    @property
    def target(self) -> str:
        """The path and query of this very request."""
        return f"{self.request.path}?{self.request.query}"


def answer(state: State, request: Request) -> Reply:
    """Answer the authorize request, and the decision posted to the same address."""
    try:
        params = request.params()
        decision = request.form() if request.method == "POST" else {}
    except RepeatedParameter:
        return _error_page(request, "invalid_request", "A parameter was repeated")
    app = state.find_app(request.host, params.get("client_id", ""))
    if app is None or app.deleted or app.platform == "m2m":
        return failure(404, state.incident())
    person = signin.who(state, request)
    if person is None:
        return signin.ask(request, f"{request.path}?{request.query}")
    if not app.official and person.tenant != app.tenant:
        return failure(404, state.incident())
    asked = Asked(request, app, person, params=params, decision=decision)
    return _refusal(state, asked) or _decide(state, asked)


def error(state: State, _: Request) -> Reply:
    """Show NinjaOne's own error page: a JSON 404, whatever its query says."""
    return failure(404, state.incident())


def _refusal(state: State, asked: Asked) -> Reply | None:
    """Refuse a request whose parameters are not good; the first fault in this order counts."""
    app, params = asked.app, asked.params
    checks = (
        (_accepts_redirect(state, app, params), "unauthorized_client", "Invalid redirect_uri"),
        ("authorization_code" in app.grant_types, "unauthorized_client", "Invalid grant type"),
        (params.get("response_type") == "code", "unsupported_response_type", "Invalid response type"),
        (len(params.get("state", "")) <= STATE_LIMIT, "invalid_request", "Invalid state"),
        (_accepts_challenge(state, app, params), "invalid_request", "Invalid code challenge"),
    )
    for holds, name, description in checks:
        if not holds:
            return _error_page(asked.request, name, description)
    if why := _scope_fault(asked):
        return _refuse_scope(state, asked, why)
    if state.switches.consent_needs_admin and not asked.person.admin:
        return _error_page(asked.request, "access_denied", "Administrator required")
    return None


def _accepts_redirect(state: State, app: ClientApp, params: Params) -> bool:
    """Match exactly; only a Native app's loopback URI may name any port (RFC 8252 §7.3)."""
    wanted = params.get("redirect_uri", "")
    if app.platform == "native" and wanted not in app.redirects:
        parts = urlsplit(wanted)
        wanted = parts._replace(netloc=parts.hostname or "").geturl()
    return wanted in app.redirects and app.redirects[wanted] <= state.now()


def _accepts_challenge(state: State, app: ClientApp, params: Params) -> bool:
    if not params.get("code_challenge"):
        return not app.is_public
    refused = state.switches.pkce == "reject" and not app.is_public
    return not refused and params.get("code_challenge_method") == "S256"


def _scope_fault(asked: Asked) -> str:
    foreign = [each for each in asked.scope if each not in {*asked.app.scopes, "offline_access"}]
    if foreign:
        return not_for_client(foreign[0])
    return "" if asked.scope else "Invalid scope"


def _refuse_scope(state: State, asked: Asked, why: str) -> Reply:
    if state.switches.invalid_scope_at_authorize == "redirect":
        return _send_back(state, asked, error="invalid_scope", error_description=why)
    return _error_page(asked.request, "invalid_scope", why)


def _decide(state: State, asked: Asked) -> Reply:
    """Approve what was remembered, do what was decided, or else ask."""
    who = asked.app.client_id, asked.person.email
    if frozenset(asked.scope) <= state.remembered.get(who, frozenset()):
        return _approve(state, asked)
    match asked.decision.get("decision"):
        case "deny":
            return _deny(state, asked)
        case "authorize":
            if "remember" in asked.decision:
                state.remembered[who] = frozenset(asked.scope)
            return _approve(state, asked)
        case _:
            return _ask(asked)


def _ask(asked: Asked) -> Reply:
    base = asked.request.base
    sign_out = f"{base}/logout?{asked.target}"
    return pages.consent(base + asked.target, asked.app, asked.person, scope=asked.scope, sign_out=sign_out)


def _approve(state: State, asked: Asked) -> Reply:
    grant = Grant(state.random_uuid(), asked.app, asked.person, asked.scope, state.now())
    code = Code(
        value=f"{grant.id}.{state.random_text(43)}",
        grant=grant,
        redirect_uri=asked.params["redirect_uri"],
        challenge=asked.params.get("code_challenge", ""),
        issued_at=state.now(),
    )
    state.grants[grant.id], state.codes[code.value] = grant, code
    state.record("consent.given", grant=grant.id, client_id=asked.app.client_id, email=asked.person.email)
    return _send_back(state, asked, code=code.value)


def _deny(state: State, asked: Asked) -> Reply:
    state.record("consent.denied", client_id=asked.app.client_id, email=asked.person.email)
    if state.switches.deny == "no_redirect":
        return pages.notice("Access denied", f"{asked.app.name} was given nothing. You can close this window.")
    return _send_back(state, asked, error="access_denied")


def _send_back(state: State, asked: Asked, **answer: str) -> Reply:
    """Return to the product, by query (RFC 6749 §4.1.2)."""
    if "state" in asked.params:
        answer["state"] = asked.params["state"]
    if state.switches.iss:
        answer["iss"] = f"https://{asked.request.host}/"
    return redirect(asked.params["redirect_uri"], **answer)


def _error_page(request: Request, name: str, description: str) -> Reply:
    return redirect(f"{request.base}/ws/oauth/error", error=name, error_description=description)
