"""The only table that maps each error to its HTTP status and log level, and the problem details of an error."""

import json
from dataclasses import dataclass

from broker import errors
from broker.adapters.log import Level
from broker.errors import BrokerError

PROBLEM = "urn:ninjaone-connect:problem:"


@dataclass(frozen=True)
class ErrorResponse:
    """How an error is answered and logged."""

    status: int
    level: Level


_TURNS: dict[type[BrokerError], ErrorResponse] = {
    errors.CallerError: ErrorResponse(400, Level.INFO),
    errors.ReturnNotListed: ErrorResponse(403, Level.WARNING),
    errors.UnknownSession: ErrorResponse(404, Level.INFO),
    errors.UnknownConnection: ErrorResponse(404, Level.INFO),
    errors.SessionSpent: ErrorResponse(410, Level.INFO),
    errors.AwaitingCompletion: ErrorResponse(409, Level.INFO),
    errors.SessionExpired: ErrorResponse(410, Level.INFO),
    errors.NotAuthorized: ErrorResponse(409, Level.INFO),
    errors.BindingMismatch: ErrorResponse(403, Level.WARNING),
    errors.AnotherBrowser: ErrorResponse(409, Level.WARNING),
    errors.AccountMismatch: ErrorResponse(409, Level.WARNING),
    errors.NotActive: ErrorResponse(409, Level.INFO),
    errors.NotApproved: ErrorResponse(409, Level.INFO),
    errors.NotPending: ErrorResponse(409, Level.INFO),
    errors.OriginUnverified: ErrorResponse(403, Level.INFO),
    errors.TooManyRequests: ErrorResponse(429, Level.WARNING),
    errors.CallRefused: ErrorResponse(403, Level.WARNING),
    errors.TooLarge: ErrorResponse(413, Level.INFO),
    errors.CustomerMustAct: ErrorResponse(409, Level.WARNING),
    errors.ClientAppError: ErrorResponse(502, Level.ERROR),
    errors.Retryable: ErrorResponse(503, Level.WARNING),
    errors.CallUnanswered: ErrorResponse(504, Level.WARNING),
    errors.NotJson: ErrorResponse(502, Level.WARNING),
    errors.ServerFault: ErrorResponse(500, Level.ERROR),
    errors.UnexpectedAnswer: ErrorResponse(502, Level.ERROR),
}


def error_response(error: BrokerError) -> ErrorResponse:
    """Look an error up by its class, then by its family."""
    found = next(_TURNS[kind] for kind in type(error).__mro__ if kind in _TURNS)
    if isinstance(error, errors.ClientAppError) and error.customer_app:
        return ErrorResponse(found.status, Level.WARNING)  # the customer's app: it must not alarm the operator
    return found


def problem(error: BrokerError, request_id: str) -> str:
    """Return problem details as JSON. See RFC 9457 §3."""
    body: dict[str, object] = {
        "type": PROBLEM + error.slug(),
        "title": error.slug().replace("-", " ").capitalize(),
        "status": error_response(error).status,
        "detail": error.detail,
        "request_id": request_id,
    }
    if isinstance(error, errors.InvalidRequest):
        body["faults"] = [{"field": fault.field, "message": fault.message} for fault in error.faults]
    if isinstance(error, errors.NeedsReauth):
        body["reason"] = error.reason
        body["reconnect"] = {
            "connection_id": error.connection,
            "how": "open a connect session with this connection_id",
        }
    if isinstance(error, errors.ConnectionPaused):
        body |= {"held_by": error.held_by, "cause": error.cause, "until": error.until}
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    return json.dumps(body)
