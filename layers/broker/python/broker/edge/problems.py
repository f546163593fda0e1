"""Whose turn it is → status, log level, problem details: the only such table."""

import json
import re
from dataclasses import dataclass

from broker import errors
from broker.adapters.log import Level
from broker.errors import BrokerError

PROBLEM = "urn:ninjaone-connect:problem:"


@dataclass(frozen=True)
class Turn:
    """How an error is answered and logged."""

    status: int
    level: Level


_TURNS: dict[type[BrokerError], Turn] = {
    errors.Refused: Turn(400, Level.INFO),
    errors.ReturnNotListed: Turn(403, Level.WARNING),
    errors.UnknownSession: Turn(404, Level.INFO),
    errors.UnknownConnection: Turn(404, Level.INFO),
    errors.SessionSpent: Turn(410, Level.INFO),
    errors.SessionInHand: Turn(409, Level.INFO),
    errors.SessionExpired: Turn(410, Level.INFO),
    errors.NotAuthorized: Turn(409, Level.INFO),
    errors.BindingMismatch: Turn(403, Level.WARNING),
    errors.AnotherBrowser: Turn(409, Level.WARNING),
    errors.AccountMismatch: Turn(409, Level.WARNING),
    errors.NotActive: Turn(409, Level.INFO),
    errors.NotApproved: Turn(409, Level.INFO),
    errors.NotPending: Turn(409, Level.INFO),
    errors.OriginUnverified: Turn(403, Level.INFO),
    errors.TooManyRequests: Turn(429, Level.WARNING),
    errors.Gone: Turn(409, Level.WARNING),
    errors.Declined: Turn(502, Level.ERROR),
    errors.Later: Turn(503, Level.WARNING),
    errors.Broken: Turn(500, Level.ERROR),
    errors.ProviderSurprise: Turn(502, Level.ERROR),
}


def turn(error: BrokerError) -> Turn:
    """Look an error up by its class, then by its family."""
    found = next(_TURNS[kind] for kind in type(error).__mro__ if kind in _TURNS)
    if isinstance(error, errors.Declined) and error.own:
        return Turn(found.status, Level.WARNING)  # the customer's app: nobody of the operator's is woken
    return found


def slug(error: BrokerError) -> str:
    """Name an error for machines: stable, whatever the sentence says."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()


def problem(error: BrokerError, request_id: str) -> str:
    """Write problem details. Source   RFC 9457 §3"""
    body: dict[str, object] = {
        "type": PROBLEM + slug(error),
        "title": slug(error).replace("-", " ").capitalize(),
        "status": turn(error).status,
        "detail": error.detail,
        "request_id": request_id,
    }
    if isinstance(error, errors.InvalidRequest):
        body["faults"] = [{"field": fault.field, "message": fault.message} for fault in error.faults]
    if isinstance(error, errors.NeedsReauth):
        body["reason"] = error.reason
        body["reconnect"] = {
            "connection": error.connection,
            "how": "open a connect session with this connection",
        }
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    return json.dumps(body)
