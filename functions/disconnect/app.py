"""DELETE /v1/tenants/{tenant}/connections/{connection}: a backend ends a connection."""

from broker.edge.api import Broker, Request, Response, answer, api, connection_json, ref_of


def disconnect(broker: Broker, request: Request) -> Response:
    """Delete the tokens here, then ask NinjaOne to revoke them.

    Answers 200 with the connection and ``revoked`` (whether NinjaOne confirmed it), 404 when it is unknown, 409 when it
    was disconnected before, 503.

    See RFC 7009.
    """
    ended, revoked = broker.disconnect(ref_of(request))
    return answer({**connection_json(broker, ended), "revoked": revoked})


handler = api(
    {"DELETE /v1/tenants/{tenant}/connections/{connection}": disconnect},
    warm=lambda broker: broker.disconnect,
)
