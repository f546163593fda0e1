"""POST /v1/tenants/{tenant}/connect-sessions: a backend opens a connect session for its user."""

from broker.edge.api import Broker, Request, Response, answer, api, tenant_of
from broker.edge.session import session_request


def session(broker: Broker, request: Request) -> Response:
    """Give the link to send the person to.

    Reads    the body, see ``opening``
    Shows    201 opened · 400 faults · 403 return key not listed · 503 later
    """
    opened = broker.open_session(session_request(broker.config, tenant_of(request), request))
    link = f"{opened.connect_url}/connect/{opened.session}"
    return answer({"session_id": opened.session, "connect_url": link, "expires_at": opened.expires_at}, status=201)


handler = api({"POST /v1/tenants/{tenant}/connect-sessions": session}, warm=lambda broker: broker.open_session)
