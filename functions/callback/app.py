"""GET /callback/{region}: NinjaOne sends the person back, with an authorization code or a refusal."""

from broker.edge.browser import Broker, Notice, Request, Response, browser, notice
from broker.edge.callback import is_prefetch, return_to_product, session_and_cookie


def callback(broker: Broker, request: Request) -> Response:
    """Redeem the state, seal and store the code, send the person back to the product. NinjaOne is not called here.

    Reads the query (``state``, ``iss``, and ``code`` or ``error``) and the cookie that binds the browser. Answers 303,
    to the product or to a page that says what went wrong, so that no page has a code in its address.

    See RFC 6749 §4.1.2.
    """
    if is_prefetch(request):
        return notice(broker, Notice.REFUSED_CALLBACK)
    region = request.path_parameters.get("region", "")
    target = broker.handle_callback(region, request.raw_query, *session_and_cookie(request))
    return return_to_product(request, target)


handler = browser(callback, warm=lambda broker: broker.handle_callback, redirect_errors=True)
