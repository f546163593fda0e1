"""GET …/connections and …/connections/{connection}: a tenant's connections and their status."""

from broker.edge.api import Broker, Request, Response, answer, api, listed_connection_json, ref_of, tenant_of
from broker.edge.connections import list_page


def connections(broker: Broker, request: Request) -> Response:
    """List a tenant's connections, a page at a time."""
    limit, cursor = list_page(request)
    page = broker.list_connections.page(tenant_of(request), limit=limit, after=cursor)
    listed = [listed_connection_json(broker, each) for each in page.connections]
    return answer({"connections": listed, "cursor": page.after})


def connection(broker: Broker, request: Request) -> Response:
    """Show one connection."""
    return answer(listed_connection_json(broker, broker.list_connections.one(ref_of(request))))


handler = api(
    {
        "GET /v1/tenants/{tenant}/connections": connections,
        "GET /v1/tenants/{tenant}/connections/{connection}": connection,
    },
    warm=lambda broker: broker.list_connections,
)
