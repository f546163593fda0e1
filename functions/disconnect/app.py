"""DELETE /v1/tenants/{tenant}/connections/{connection}: a backend ends a connection."""

from broker.edge.api import Broker, Request, Response, answer, api, connection, ref_of


def disconnect(broker: Broker, request: Request) -> Response:
    """Forget the tokens here, then revoke them at NinjaOne as well as it lets us.

    Shows    200 connection and ``revoked`` · 404 unknown · 409 ended before · 503 later

    See RFC 7009.
    """
    ended, revoked = broker.disconnect(ref_of(request))
    return answer({**connection(broker, ended), "revoked": revoked})


handler = api(
    {"DELETE /v1/tenants/{tenant}/connections/{connection}": disconnect},
    warm=lambda broker: broker.disconnect,
)
