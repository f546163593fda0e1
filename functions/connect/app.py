"""GET /connect/{session}: a person sees who asks and for what. Unknown public addresses end here too."""

from broker.edge.browser import Broker, Request, Response, browser, connect_page, fallback, session_of


def connect(broker: Broker, request: Request) -> Response:
    """Show the connect page; nothing changes, however often it is opened. The browser gets its cookie with it.

    Shows    200 the page · 404 no such page · 405 wrong method · 410 unknown, expired or used link
    """
    if request.route == "$default":
        return fallback(broker, request)
    return connect_page(broker, request, broker.find_session(session_of(request)))


handler = browser(connect, warm=lambda broker: broker.find_session)
