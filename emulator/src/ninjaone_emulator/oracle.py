"""What only NinjaOne knows, for tests that judge a client by it."""

from typing import Any

from ninjaone_emulator import family
from ninjaone_emulator.state import Grant, State


class Oracle:
    """Answers without changing anything. A grant is named by its id, the UUID that begins its tokens."""

    def __init__(self, state: State) -> None:
        self._state = state

    def grants(self) -> list[Grant]:
        """List every grant, oldest first."""
        return list(self._state.grants.values())

    def grant_of(self, token: str) -> Grant | None:
        """Find the grant behind a code, a refresh token or an access token."""
        state = self._state
        holders = (state.codes, state.refresh_tokens, state.access_tokens)
        found = [each[token] for each in holders if token in each]
        return found[0].grant if found else None

    def live_refresh_token(self, grant: str) -> str | None:
        """Return the newest refresh token, if it would be accepted now."""
        chain = self._state.grants[grant].refresh_tokens
        return chain[-1].value if chain and not family.why_dead(self._state, chain[-1]) else None

    def accepted_refresh_tokens(self, grant: str) -> frozenset[str]:
        """Return every refresh token that would be accepted now: with rotate_grace there may be two."""
        chain = self._state.grants[grant].refresh_tokens
        return frozenset(each.value for each in chain if not family.why_dead(self._state, each))

    def chain(self, grant: str) -> tuple[str, ...]:
        """Return every refresh token of the grant, oldest first."""
        return tuple(each.value for each in self._state.grants[grant].refresh_tokens)

    def why_dead(self, refresh_token: str) -> str:
        """Return why a refresh token would be refused now; empty when it would be accepted."""
        return family.why_dead(self._state, self._state.refresh_tokens[refresh_token])

    def presented(self, refresh_token: str) -> int:
        """Count how often its authenticated client presented a refresh token, accepted or not."""
        return len(self._state.refresh_tokens[refresh_token].presented_at)

    def revoked(self, grant: str) -> str:
        """Return why a family was revoked; empty while it lives."""
        return self._state.grants[grant].revoked

    def accepts(self, host: str, access_token: str) -> bool:
        """Return whether the API of `host` would take an access token now."""
        token = self._state.access_tokens.get(access_token)
        return token is not None and family.accepts(self._state, host, token)

    def describe(self, grant: Grant) -> dict[str, Any]:
        """Summarize a grant without any token."""
        live = self.live_refresh_token(grant.id) is not None
        return {
            "grant": grant.id,
            "client_id": grant.app.client_id,
            "app": grant.app.name,
            "email": grant.person.email if grant.person else None,
            "tenant": grant.tenant.name,
            "host": grant.tenant.host,
            "scope": list(grant.scope),
            "consented_at": grant.consented_at,
            "refresh_tokens_issued": len(grant.refresh_tokens),
            "access_tokens_issued": len(grant.access_tokens),
            "live": live,
            "revoked": grant.revoked,
        }
