"""GET …/connections and …/connections/{connection}: what is connected, and how it is."""

from broker.edge import bodies
from broker.edge.api import Broker, Request, Response, answer, api, connection, ref_of, tenant_of


def connections(broker: Broker, request: Request) -> Response:
    """List a tenant's connections, a page at a time."""
    limit, cursor = bodies.page(request)
    page = broker.show.page(tenant_of(request), limit=limit, after=cursor)
    return answer({"connections": [connection(broker, *row) for row in page.rows], "cursor": page.after})


def one(broker: Broker, request: Request) -> Response:
    """Show one connection."""
    return answer(connection(broker, *broker.show.one(ref_of(request))))


handler = api(
    {
        "GET /v1/tenants/{tenant}/connections": connections,
        "GET /v1/tenants/{tenant}/connections/{connection}": one,
    },
    warm=lambda broker: broker.show,
)
