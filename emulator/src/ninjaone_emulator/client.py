"""Which client app is speaking, and whether it may (docs/understand/ninjaone.md §1, §8)."""

import hmac
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import unquote_plus

from ninjaone_emulator.errors import Refused
from ninjaone_emulator.state import GRANT_TYPES, ClientApp, State


def authenticate(state: State, host: str, headers: Mapping[str, str], form: Mapping[str, str]) -> ClientApp:
    """Find the client app, and check its secret unless it is a public one.

    Raises:
        Refused
    """
    client_id, secret = _credentials(headers, form)
    app = state.find_app(host, client_id)
    if app is None:
        raise Refused("client_app_not_exist", why=client_id)
    if app.deleted:
        raise Refused(_deleted(state), why="app deleted")
    if not app.is_public and not hmac.compare_digest(app.secret.encode(), secret.encode()):
        raise Refused("invalid_client", why=client_id)
    app.has_unused_secret = False
    return app


def grant_type(app: ClientApp, form: Mapping[str, str]) -> str:
    """Read which grant type is asked for.

    Raises:
        Refused
    """
    wanted = form.get("grant_type", "")
    if wanted not in GRANT_TYPES:
        raise Refused("unsupported_grant_type" if wanted else "invalid_request", why=wanted)
    if wanted == "client_credentials" and app.is_public:
        raise Refused("unauthorized_client", why="a public client has no credentials")
    return wanted


def _credentials(headers: Mapping[str, str], form: Mapping[str, str]) -> tuple[str, str]:
    """Read the client's name and secret from HTTP Basic or from the body (RFC 6749 §2.3.1)."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        name, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        raise Refused("invalid_client", why="unreadable Basic header") from None
    return unquote_plus(name), unquote_plus(secret)


def _deleted(state: State) -> str:
    answer = state.switches.app_deleted
    return state.switches.dead_refresh_error if answer == "dead_token" else answer
