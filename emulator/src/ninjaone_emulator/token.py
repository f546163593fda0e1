"""The token and revocation endpoints (docs/understand/ninjaone.md §1, §3, §4, §8)."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from ninjaone_emulator import client, family
from ninjaone_emulator.errors import Refused, not_for_client
from ninjaone_emulator.hosts import REGIONS
from ninjaone_emulator.message import RepeatedParameter, Reply, Request, failure, oauth_json
from ninjaone_emulator.state import ClientApp, Code, Grant, RefreshToken, State

Fields = dict[str, str | int]


def answer(state: State, request: Request) -> Reply:
    """Read a token request: a form sent by POST, and nothing else."""
    if request.method != "POST":
        return failure(405, state.incident())
    try:
        return token(state, request.host, request.headers, _form(request))
    except Refused as refused:
        return _refuse(state, request.host, refused)


def token(state: State, host: str, headers: Mapping[str, str], form: Mapping[str, str]) -> Reply:
    """Answer a token request.

    Args:
        headers: names in lower case

    Order: which client, can it prove that, is the grant good, may the app use this grant type.
    """
    exchanges = {
        "authorization_code": _by_code,
        "refresh_token": _by_refresh_token,
        "client_credentials": _by_client_credentials,
    }
    try:
        app = client.authenticate(state, host, headers, form)
        fields = exchanges[client.grant_type(app, form)](state, app, form)
    except Refused as refused:
        return _refuse(state, host, refused)
    return oauth_json(200, dict(sorted(fields.items())))


def revoke(state: State, request: Request) -> Reply:
    """Revoke as RFC 7009 §2 says, or refuse as the switch does: what NinjaOne answers is not public."""
    status = 405 if request.method != "POST" else int(state.switches.revoke)
    if status != 200:
        return failure(status, state.incident())
    try:
        form = _form(request)
        app = client.authenticate(state, request.host, request.headers, form)
    except Refused as refused:
        return _refuse(state, request.host, refused)
    _revoke(state, app, form.get("token", ""))
    return Reply(200, oauth_json(200, {}).headers)


def _refuse(state: State, host: str, refused: Refused) -> Reply:
    state.record("request.refused", host=host, error=refused.error, why=refused.why)
    return refused.reply(state)


def _form(request: Request) -> dict[str, str]:
    if not request.has_form():
        raise Refused("invalid_request", shown="Content-Type must be application/x-www-form-urlencoded")
    try:
        return request.form()
    except RepeatedParameter:
        raise Refused("invalid_request", shown="A parameter was repeated") from None


def _by_code(state: State, app: ClientApp, form: Mapping[str, str]) -> Fields:
    """Exchange a code, once (RFC 6749 §4.1.3); a failed try by its own client spends it too."""
    if "authorization_code" not in app.grant_types:
        raise Refused("unauthorized_client", why="authorization_code box")
    code = state.codes.get(form.get("code", ""))
    if code is None or code.grant.app is not app:
        raise Refused(state.switches.dead_code_error, why="unknown code")
    why, code.used = _code_fault(state, code, form), True
    if why:
        raise Refused(state.switches.dead_code_error, why=why)
    grant = code.grant
    _end_earlier_consents(state, grant)
    offline = "offline_access" in grant.scope and "refresh_token" in app.grant_types
    first = family.add_refresh_token(state, grant) if offline else None
    state.record("code.exchanged", grant=grant.id)
    return _fields(state, grant, grant.scope, first) | {"scope": " ".join(grant.scope)}


def _code_fault(state: State, code: Code, form: Mapping[str, str]) -> str:
    if code.used:
        if state.switches.reused_code_kills_grant:
            state.revoke(code.grant, "code reused")
        return "code used before"
    if code.grant.revoked or state.now() >= code.issued_at + state.switches.code_seconds:
        return "code expired"
    if form.get("redirect_uri") != code.redirect_uri:
        return "another redirect_uri"
    return "" if _verifier_fits(state, code, form.get("code_verifier", "")) else "code_verifier does not fit"


def _verifier_fits(state: State, code: Code, verifier: str) -> bool:
    """Compare as RFC 7636 §4.6 says, when a challenge was sent."""
    ignored = state.switches.pkce == "ignore" and not code.grant.app.is_public
    if ignored or not code.challenge:
        return True
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode() == code.challenge


def _end_earlier_consents(state: State, grant: Grant) -> None:
    if not state.switches.second_consent_kills_first:
        return
    for other in state.grants.values():
        if other is not grant and other.app is grant.app and other.person is grant.person:
            state.revoke(other, "second consent")


def _by_refresh_token(state: State, app: ClientApp, form: Mapping[str, str]) -> Fields:
    """Refresh (RFC 6749 §6). A token that cannot be used for another reason is not spent."""
    held = state.refresh_tokens.get(form.get("refresh_token", ""))
    if held is None or held.grant.app is not app:
        raise Refused(state.switches.dead_refresh_error, why="unknown refresh token")
    held.presented_at.append(state.now())
    if why := family.why_dead(state, held):
        _answer_reuse(state, held, why)
        raise Refused(state.switches.dead_refresh_error, why=why)
    _check_box(state, app)
    scope = _refreshed_scope(state, held.grant, form.get("scope", ""))
    shown = family.rotate(state, held)
    state.record("token.refreshed", grant=held.grant.id, number=held.number)
    return _fields(state, held.grant, scope, shown) | _echo(state, scope)


def _answer_reuse(state: State, held: RefreshToken, why: str) -> None:
    if why == "superseded" and state.switches.rotation == "reuse_kills_family":
        state.revoke(held.grant, "refresh token reused")


def _check_box(state: State, app: ClientApp) -> None:
    if "refresh_token" in app.grant_types:
        return
    if state.switches.grant_type_unticked == "dead_token":
        raise Refused(state.switches.dead_refresh_error, why="refresh_token box")
    raise Refused("unauthorized_client", why="refresh_token box")


def _refreshed_scope(state: State, grant: Grant, asked: str) -> tuple[str, ...]:
    """Choose the scope of a refresh: no wider than the grant, and only what the app still holds."""
    scope = tuple(asked.split()) or grant.scope
    for each in scope:
        if each not in grant.scope:
            raise Refused("invalid_scope", shown=not_for_client(each))
    lost = [each for each in scope if each not in {*grant.app.scopes, "offline_access"}]
    if not lost:
        return scope
    if state.switches.scope_unticked == "narrowed":
        return tuple(each for each in scope if each not in lost)
    if state.switches.scope_unticked == "dead_token":
        raise Refused(state.switches.dead_refresh_error, why="scope unticked")
    raise Refused("invalid_scope", shown=not_for_client(lost[0]))


def _echo(state: State, scope: tuple[str, ...]) -> Fields:
    if state.switches.scope_echo == "omit":
        return {}
    return {"scope": " ".join(scope[::-1] if state.switches.scope_echo == "reordered" else scope)}


def _by_client_credentials(state: State, app: ClientApp, form: Mapping[str, str]) -> Fields:
    """Issue a token to the app itself; without `scope` it gets all that the app holds."""
    if "client_credentials" not in app.grant_types:
        raise Refused("unauthorized_client", why="client_credentials box")
    asked = form.get("scope", "").split() or sorted(app.scopes)
    if "offline_access" in asked and _tolerates_offline(state, app):
        asked.remove("offline_access")
    for each in asked:
        if each not in app.scopes:
            raise Refused("invalid_scope", shown=not_for_client(each))
    grant = Grant(state.random_uuid(), app, None, tuple(asked), state.now())
    state.grants[grant.id] = grant
    return _fields(state, grant, grant.scope, None) | {"scope": " ".join(asked)}


def _tolerates_offline(state: State, app: ClientApp) -> bool:
    rule = state.switches.offline_client_credentials
    return rule == "tolerate" or (rule == "by_region" and app.tenant.host == REGIONS["ca"])


def _fields(state: State, grant: Grant, scope: tuple[str, ...], shown: RefreshToken | None) -> Fields:
    access = family.add_access_token(state, grant, scope)
    fields: Fields = {"access_token": access.value, "token_type": "Bearer"}
    if state.switches.expires_in == "present":
        fields["expires_in"] = state.switches.access_token_seconds
    if shown is not None:
        fields["refresh_token"] = shown.value
    return fields


def _revoke(state: State, app: ClientApp, value: str) -> None:
    """A refresh token takes along what the switch says, an access token only itself."""
    refresh, access = state.refresh_tokens.get(value), state.access_tokens.get(value)
    if refresh and refresh.grant.app is app:
        for grant in _ended_with(state, refresh):
            state.revoke(grant, "revoked by the client")
    if access and access.grant.app is app:
        access.revoked = True


def _ended_with(state: State, token: RefreshToken) -> list[Grant]:
    if state.switches.revoke_ends == "grant":
        return [token.grant]
    if state.switches.revoke_ends == "person":
        mine = token.grant
        return [each for each in state.grants.values() if each.app is mine.app and each.person is mine.person]
    token.superseded_at = state.now() if token.superseded_at is None else token.superseded_at
    return []
