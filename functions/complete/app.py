"""POST …/complete and …/approve: a backend proves who its user is, and the connection is made or approved."""

from broker.edge.api import (
    Broker,
    Request,
    Response,
    answer,
    api,
    connection_json,
    ref_of,
    session_of,
    tenant_of,
    with_queue,
)
from broker.edge.complete import complete_request, session_to_complete
from broker.edge.worker import Context


def complete(broker: Broker, request: Request) -> Response:
    """Exchange the code for the person who began, and return the connection.

    Reads the body, see ``complete_request``. Answers 200 with the connection, 400 with the faults of the body, 403
    when the person is not proved, 409, 410, 502 when NinjaOne declined, 503.
    """
    completion, confirmed = complete_request(tenant_of(request), request)
    made = broker.complete(session_of(request), completion, confirm_account_change=confirmed)
    return answer(connection_json(broker, made))


def approve(broker: Broker, request: Request) -> Response:
    """Approve a connection that was made without proof of the person, so that it can be used."""
    return answer(connection_json(broker, broker.complete.approve(ref_of(request))))


def unattended(broker: Broker, body: str, _context: Context) -> None:
    """Complete a session whose connection is approved afterwards, from the queue: no backend calls for it."""
    broker.complete_unattended(session_to_complete(body))


handler = with_queue(
    api(
        {
            "POST /v1/tenants/{tenant}/connect-sessions/{session}/complete": complete,
            "POST /v1/tenants/{tenant}/connections/{connection}/approve": approve,
        },
        warm=lambda broker: broker.complete,
    ),
    unattended,
)
