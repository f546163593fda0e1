"""POST …/complete and …/approve: a backend proves its user, and the connection is made."""

from broker.edge.api import (
    Broker,
    Request,
    Response,
    answer,
    api,
    connection,
    or_messages,
    ref_of,
    session_of,
    tenant_of,
)
from broker.edge.complete import complete_request, session_to_complete
from broker.edge.worker import Context


def complete(broker: Broker, request: Request) -> Response:
    """Exchange the code for the person who began, and show the connection.

    Reads    the body, see ``completion``
    Shows    200 connection · 400 faults · 403 not proved · 409, 410 · 502 NinjaOne declined · 503
    """
    completion, confirmed = complete_request(tenant_of(request), request)
    return answer(
        connection(broker, broker.complete(session_of(request), completion, confirm_account_change=confirmed))
    )


def approve(broker: Broker, request: Request) -> Response:
    """Let a connection be used that was made without proof of the person."""
    return answer(connection(broker, broker.complete.approve(ref_of(request))))


def unattended(broker: Broker, body: str, _context: Context) -> None:
    """Complete a session of which only the approval is left to do."""
    broker.complete.unattended(session_to_complete(body))


handler = or_messages(
    api(
        {
            "POST /v1/tenants/{tenant}/connect-sessions/{session}/complete": complete,
            "POST /v1/tenants/{tenant}/connections/{connection}/approve": approve,
        },
        warm=lambda broker: broker.complete,
    ),
    unattended,
)
