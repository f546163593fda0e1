"""A grant and everything issued from it: which token is accepted, and what a refresh does to the chain.

Whatever the rotation mode, at most one refresh token of a grant is the newest; with rotate_grace the one
before it is accepted too, for a while (docs/understand/ninjaone.md §3).
"""

from ninjaone_emulator.state import REFRESH_LIFE, AccessToken, Grant, RefreshToken, State


def add_refresh_token(state: State, grant: Grant) -> RefreshToken:
    """Lengthen the chain by one token, `<grant uuid>.<43 characters>`."""
    sliding = state.switches.lifetime == "sliding_30d"
    token = RefreshToken(
        value=f"{grant.id}.{state.random_text(43)}",
        grant=grant,
        number=len(grant.refresh_tokens) + 1,
        expires_at=(state.now() if sliding else grant.consented_at) + REFRESH_LIFE,
    )
    grant.refresh_tokens.append(token)
    state.refresh_tokens[token.value] = token
    return token


def add_access_token(state: State, grant: Grant, scope: tuple[str, ...]) -> AccessToken:
    """Issue an access token, which the switch may make the only one of its grant."""
    if state.switches.refresh_kills_access_token:
        for earlier in grant.access_tokens:
            earlier.revoked = True
    token = AccessToken(
        value=state.random_text(43),
        grant=grant,
        scope=scope,
        expires_at=state.now() + state.switches.access_token_seconds,
    )
    grant.access_tokens.append(token)
    state.access_tokens[token.value] = token
    return token


def rotate(state: State, token: RefreshToken) -> RefreshToken | None:
    """Use an accepted refresh token, as the rotation mode says.

    Returns:
        the refresh token to put into the answer, if any
    """
    if state.switches.rotation.startswith("static"):
        if state.switches.lifetime == "sliding_30d":
            token.expires_at = state.now() + REFRESH_LIFE
        return token if state.switches.rotation == "static_same_token" else None
    newest = token.grant.refresh_tokens[-1]
    newest.superseded_at = state.now()
    return add_refresh_token(state, token.grant)


def why_dead(state: State, token: RefreshToken) -> str:
    """Return why a refresh token is not accepted now; empty when it is."""
    if grant_death := _grant_death(state, token.grant):
        return grant_death
    if token.expires_at <= state.now():
        return "expired"
    if token.superseded_at is not None and not _in_grace(state, token):
        return "superseded"
    return ""


def accepts(state: State, host: str, token: AccessToken) -> bool:
    """Return whether the API of `host` takes an access token now."""
    return (
        not token.revoked
        and token.expires_at > state.now()
        and not _grant_death(state, token.grant)
        and state.same_place(host, token.grant.app.tenant.host)
    )


def _grant_death(state: State, grant: Grant) -> str:
    if grant.revoked:
        return f"revoked: {grant.revoked}"
    disabled = grant.person is not None and not grant.person.enabled
    if disabled and state.switches.user_disabled == "dead_token":
        return "user disabled"
    return ""


def _in_grace(state: State, token: RefreshToken) -> bool:
    """Only the token just before the newest has a grace, counted from when it was superseded."""
    newest = token.grant.refresh_tokens[-1]
    return (
        state.switches.rotation == "rotate_grace"
        and token.number == newest.number - 1
        and token.superseded_at is not None
        and state.now() < token.superseded_at + state.switches.grace_seconds
    )
