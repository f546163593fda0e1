"""POST /v1/tenants/{tenant}/connect-sessions: a backend opens a connect session for its user."""

from broker.edge.api import Broker, Request, Response, answer, api, tenant_of
from broker.edge.session import session_request


def session(broker: Broker, request: Request) -> Response:
    """Open a session and return the link to send the person to.

    Reads the body, see ``session_request``. Answers 201 with the session, 400 with the faults of the body, 403 when the
    return key is not on the operator's list, 503.
    """
    opened = broker.open_session(session_request(broker.config, tenant_of(request), request))
    link = f"{opened.connect_url}/connect/{opened.session}"
    return answer({"session_id": opened.session, "connect_url": link, "expires_at": opened.expires_at}, status=201)


handler = api({"POST /v1/tenants/{tenant}/connect-sessions": session}, warm=lambda broker: broker.open_session)
