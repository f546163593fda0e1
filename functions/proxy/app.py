"""ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}: a backend calls NinjaOne, and sees no token."""

from broker.edge.api import Broker, Request, Response, api, ref_of
from broker.edge.proxy import MAX_BODY_BYTES, passed, proxied_call


def proxy(broker: Broker, request: Request) -> Response:
    """Forward a call to NinjaOne, if the operator's policy allows it.

    Reads the method, the path below /v2/, the query, some headers and a body of up to 4 MB. Answers what NinjaOne
    answers, with the header ``x-ninjaone-connect: passed``, or a problem of the broker's own without that header.

    See RFC 9110 §7.6, RFC 6750 §2.1.
    """
    return passed(broker.proxy(ref_of(request), proxied_call(request)))


handler = api(
    {"ANY /v1/tenants/{tenant}/connections/{connection}/ninjaone/{path+}": proxy},
    warm=lambda broker: broker.proxy,
    body_limit=MAX_BODY_BYTES,
)
