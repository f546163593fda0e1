"""GET /connect/{session}: a person sees who asks and for what. Unknown public addresses end here too."""

from broker.edge.browser import (
    Broker,
    Request,
    Response,
    browser,
    connect_page,
    fallback,
    link_in,
    redirect,
    session_of,
)


def connect(broker: Broker, request: Request) -> Response:
    """Show the connect page and set the browser's cookie. Nothing is written, however often the page is opened.

    Answers 200 with the page, 303 to the link alone if signs follow it, 404 or 405 at any other address or method, 410
    when the link is unknown, expired or used.
    """
    if request.route == "$default":
        return fallback(broker, request)
    if link := link_in("/connect/" + request.path_parameters.get("session", "")):
        return redirect(link)
    return connect_page(broker, request, broker.find_session(session_of(request)))


handler = browser(connect, warm=lambda broker: broker.find_session)
