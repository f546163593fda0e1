"""POST /connect/{session}/authorize: the person agrees to leave for NinjaOne."""

from broker.edge.authorize import came_from_our_page, cookie_held, departure, form, host_problem, leave
from broker.edge.browser import Broker, Notice, Request, Response, browser, invitation, notice, session_of


def authorize(broker: Broker, request: Request) -> Response:
    """Bind this browser to the session and send it to NinjaOne.

    Reads    form ``region``, ``subdomain``, ``suffix``, ``client_id``, ``client_secret``, ``go_anyway``; the cookie
    Shows    303 to NinjaOne · 400 the page again · 409 in another browser · 410 expired or used · 429 · 502
    """
    session = session_of(request)
    if not came_from_our_page(request):
        return notice(broker, Notice.WRONG_ORIGIN)
    sent = form(broker.config, request)
    if sent.place is None or sent.faults:
        found = broker.depart.miss(session, cookie_held(request, session))
        return invitation(broker, found, faults=sent.faults, typed=sent.typed)
    leaving = broker.depart(departure(request, session, sent))
    if leaving.is_doubtful:
        return host_problem(broker, request, leaving, typed=sent.typed)
    return leave(request, leaving)


handler = browser(authorize, warm=lambda broker: broker.depart)
