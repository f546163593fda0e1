"""The body that completes a connect session: the proof that the person who completes is the one who began."""

import re

from broker.adapters.queues import read_completion
from broker.edge.fields import Fields
from broker.edge.http import Request
from broker.errors import Fault, InvalidRequest
from broker.flows.complete import CompleteRequest
from broker.model import SessionId, TenantId
from broker.secret import Secret

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_TICKET = re.compile(r"[A-Za-z0-9_-]{43}")


def complete_request(tenant: TenantId, request: Request) -> tuple[CompleteRequest, bool]:
    """Read the proof of the person, and whether another account may be connected. Raises InvalidRequest."""
    body = Fields(request, frozenset({"end_user_id", "ticket", "binding_verifier", "confirm_account_change"}))
    result = CompleteRequest(
        tenant=tenant,
        end_user_id=body.text("end_user_id", longest=256, needed=True),
        ticket=Secret(body.matching("ticket", _TICKET, "Pass the ticket from the return address unchanged.")),
        binding_verifier=Secret(
            body.matching("binding_verifier", _VERIFIER, "Pass the verifier: 43 to 128 unreserved characters.")
        ),
    )
    confirmed = body.flag("confirm_account_change")
    body.check()
    return result, confirmed


def session_to_complete(body: str) -> SessionId:
    """Read a message of the completion queue. Raises InvalidRequest."""
    found = read_completion(body)
    if found is None:
        raise InvalidRequest(Fault("session", "The message names no connect session."))
    return found
