"""ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}: a backend calls NinjaOne, and sees no token."""

from broker.edge.api import Broker, Request, Response, api, ref_of
from broker.edge.proxy import LIMIT, passed, proxied_call


def proxy(broker: Broker, request: Request) -> Response:
    """Pass a call on to NinjaOne, if the operator's policy allows it.

    Reads    method, path below /v2/, query, some headers, a body of up to 4 MB
    Shows    what NinjaOne answers, with the header ``x-ninjaone-connect: passed`` · problems of the broker's own

    See RFC 9110 §7.6, RFC 6750 §2.1.
    """
    return passed(broker.proxy(ref_of(request), proxied_call(request)))


handler = api(
    {"ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}": proxy},
    warm=lambda broker: broker.proxy,
    body_limit=LIMIT,
)
