"""The control page's words: switches in groups with titles, their values, faults, endpoints and actions."""

from collections.abc import Mapping

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Tokens and refreshing": {
        "rotation": "What a refresh does to the refresh token",
        "grace_seconds": "Grace of the token before, in seconds",
        "lifetime": "When consent ends",
        "access_token_seconds": "Life of an access token, in seconds",
        "expires_in": "Token answers say how long the token lives",
        "refresh_kills_access_token": "A refresh ends the access token before it",
        "scope_echo": "How the answer to a refresh names the scopes",
        "offline_client_credentials": "offline_access with client credentials",
    },
    "Errors of the token endpoint": {
        "dead_refresh_error": "Error for a dead refresh token",
        "dead_code_error": "Error for a dead code",
        "wrong_secret": "Answer to a wrong client secret",
        "revoke": "Answer of the revocation endpoint",
        "revoke_ends": "What a revoked refresh token takes along",
    },
    "Signing in and consent": {
        "code_seconds": "Life of a code, in seconds",
        "reused_code_kills_grant": "A code used twice revokes what it gave",
        "pkce": "PKCE of Web apps",
        "iss": "The callback names the issuer",
        "deny": "Where a refusal leads",
        "invalid_scope_at_authorize": "Where a scope leads that the app does not hold",
        "second_consent_kills_first": "A second consent ends the first",
        "consent_needs_admin": "Only administrators may consent",
        "redirect_delay_seconds": "Seconds until a new redirect URI counts",
    },
    "Lists of the API": {
        "organizations_need_admin": "Only administrators may list",
        "list_rows": "Rows of every list",
        "page_cap": "Most rows of one page",
        "link_header": "Link to the next page",
        "cursor_seconds": "Life of a cursor, in seconds",
        "cursor_repeats": "A cursor stops at its second page",
        "last_cursor": "The last page names its cursor",
    },
    "Hosts and paths": {
        "ws_path": "/ws/oauth is there",
        "alias_path": "/oauth is there",
        "branded_separate": "The branded host has apps of its own",
    },
    "After an administrator's change": {
        "user_disabled": "A person was disabled",
        "password_changed": "A password was changed",
        "secret_rotated": "A client secret was made anew",
        "scope_unticked": "A scope was taken from the app",
        "grant_type_unticked": "A grant type was taken from the app",
        "app_deleted": "The app was deleted",
    },
}

VALUES: Mapping[str, str] = {
    "rotate_strict": "a new one, and the old dies at once",
    "rotate_grace": "a new one, and the old has a grace",
    "static_same_token": "the same one is sent again",
    "static_omit_field": "it stays, and is not sent",
    "reuse_kills_family": "a new one, and using an old one revokes all",
    "absolute_30d": "30 days after it was given",
    "sliding_30d": "30 days after its last use",
    "by_region": "refused, but on ca",
    "invalid_client_401": "401 invalid_client",
    "invalid_client_400": "400 invalid_client",
    "client_app_not_exist": "404 Client app not exist",
    "no_redirect": "to a page of NinjaOne's",
    "access_denied": "back, with access_denied",
    "error_page": "to NinjaOne's error page",
    "redirect": "back to the product",
    "dead_token": "its tokens are dead",
    "still_works": "its tokens work on",
    "grants_survive": "consents stay",
    "grants_die": "consents end",
    "now_and_then": "on some pages",
    "grant": "its consent",
    "token": "nothing else",
    "person": "every consent of that person for the app",
    "true": "yes",
    "false": "no",
}
"""Values that do not say by themselves what they mean."""

ENDPOINTS: Mapping[str, str] = {
    "authorize": "the authorization page",
    "token": "the token endpoint",
    "revoke": "the revocation endpoint",
    "api": "the API",
}

ACTIONS: Mapping[str, str] = {
    "revoke_grant": "Revoke a consent",
    "delete_app": "Delete a client app",
    "rotate_secret": "Make a new client secret",
    "add_redirect": "Register a redirect URI",
    "tick_grant_type": "Tick a grant type",
    "untick_grant_type": "Untick a grant type",
    "tick_scope": "Tick a scope",
    "untick_scope": "Untick a scope",
    "enable_user": "Enable a person",
    "disable_user": "Disable a person",
    "make_admin": "Make a person administrator",
    "unmake_admin": "Take the administrator's role away",
    "change_password": "Change a person's password",
}


def value(name: object) -> str:
    """Return a switch's value in words."""
    text = str(name).lower()
    return VALUES.get(text, text.replace("_", " "))
