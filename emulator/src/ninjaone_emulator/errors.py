"""The error bodies of the token endpoint and the API; docs/understand/ninjaone.md §8 grades each one.

A table, so that a captured answer replaces a guess in one place.
"""

from http import HTTPStatus

from ninjaone_emulator.message import Reply, compact, oauth_json
from ninjaone_emulator.state import State

# Each with its status and description; no description where none was seen.
TOKEN_ERRORS: dict[str, tuple[int, str]] = {
    "invalid_token": (400, ""),
    "invalid_grant": (400, ""),
    "expired_token": (400, ""),
    "invalid_request": (400, ""),
    "invalid_scope": (400, "Invalid scope"),
    "unauthorized_client": (400, "Invalid grant type"),
    "unsupported_grant_type": (400, ""),
}

# The same, and the number that goes with it.
API_ERRORS: dict[str, tuple[int, str, int]] = {
    "missing_header": (400, "Missing required header", 2),
    "invalid_header": (400, "Invalid 'Authorization' header", 1),
    "not_authenticated": (401, "Invalid credentials", 10),
    "insufficient_privileges": (401, "Insufficient privileges", 11),
    "user_context_required": (403, "Access key does not have user context which is required for this request", 5),
    "cursor_expired": (400, "Cursor is expired or unknown", 0),
}


class Refused(Exception):
    """The token endpoint refuses.

    Args:
        shown: the error_description, where it is not the table's
        why: for the event log only
    """

    def __init__(self, error: str, *, shown: str = "", why: str = "") -> None:
        super().__init__(error)
        self.error, self.shown, self.why = error, shown, why or shown

    def reply(self, state: State) -> Reply:
        """Show the refusal."""
        if self.error == "client_app_not_exist":
            return oauth_json(404, {"resultCode": "Client app not exist", "incidentId": state.incident()})
        if self.error == "invalid_client":
            return oauth_json(int(state.switches.wrong_secret[-3:]), {"error": "invalid_client"})
        status, usual = TOKEN_ERRORS[self.error]
        description = self.shown or usual
        return oauth_json(status, {"error": self.error} | ({"error_description": description} if description else {}))


def not_for_client(scope: str) -> str:
    """Name a scope that the app does not hold, in NinjaOne's words."""
    return f"Invalid scope {scope} for client"


def api_json(state: State, status: int, value: object) -> Reply:
    """Answer as the API does."""
    headers = (
        ("Server", "Grizzly"),
        ("Content-Type", "application/json"),
        ("x-nj-request-id", state.random_uuid()),
    )
    return Reply(status, headers, compact(value))


def api_refused(state: State, error: str) -> Reply:
    """Refuse an API request."""
    status, description, number = API_ERRORS[error]
    fields = {"error": error, "error_description": description, "error_code": number}
    return api_json(state, status, fields)


def api_failure(state: State, status: int) -> Reply:
    """Fail as the API does where OAuth has no word for it."""
    message = f"HTTP {status} {HTTPStatus(status).phrase}"
    fields = {"resultCode": "FAILURE", "errorMessage": message, "incidentId": state.incident()}
    return api_json(state, status, fields)
