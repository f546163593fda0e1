"""POST /connect/{session}/authorize: the person agrees to leave for NinjaOne."""

from broker.edge import bodies
from broker.edge.browser import (
    Broker,
    Notice,
    Request,
    Response,
    browser,
    came_from_our_page,
    departure,
    host_problem,
    invitation,
    leave,
    notice,
    session_of,
)


def authorize(broker: Broker, request: Request) -> Response:
    """Bind this browser to the session and send it to NinjaOne.

    Reads    form ``region``, ``subdomain``, ``suffix``, ``client_id``, ``client_secret``, ``go_anyway``; the cookie
    Shows    303 to NinjaOne · 400 the page again · 409 in another browser · 410 expired or used · 429 · 502
    """
    session = session_of(request)
    if not came_from_our_page(request):
        return notice(broker, Notice.WRONG_ORIGIN)
    form = bodies.form(broker.config, request)
    if form.place is None or form.faults:
        return invitation(broker, broker.depart.miss(session), faults=form.faults, typed=form.typed)
    leaving = broker.depart(departure(request, session, form))
    if leaving.is_doubtful:
        return host_problem(broker, leaving, typed=form.typed)
    return leave(leaving)


handler = browser(authorize, warm=lambda broker: broker.depart)
