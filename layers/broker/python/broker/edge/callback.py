"""The way back from NinjaOne: the cookie that the state asks for, and home."""

from collections.abc import Mapping

from broker.edge.browser import cookie_name, redirect, session_named, told, with_cookie
from broker.edge.http import Request, Response
from broker.edge.pages import Notice
from broker.flows.callback import Home, Said
from broker.secret import Secret

_SAID: Mapping[Said, Notice] = {
    Said.AGREED: Notice.AWAITING_APPROVAL,
    Said.DENIED: Notice.DENIED,
    Said.REFUSED: Notice.REFUSED_AT_NINJAONE,
}


def is_prefetch(request: Request) -> bool:
    """Say whether the browser only looks ahead."""
    return "prefetch" in request.headers.get("sec-purpose", "") or "prefetch" in request.headers.get("purpose", "")


def cookies_by_session(request: Request) -> Mapping[str, Secret]:
    """Read the cookie of the session that the query's state names, if the browser brought it."""
    named = session_named(request)
    held = request.cookies.get(cookie_name(named)) if named else None
    return {named: held} if named and held else {}


def gone_home(home: Home) -> Response:
    """Send the browser back to the product, or to the page that says what comes now."""
    response = redirect(home.location) if home.location else told(_SAID[home.said])
    return with_cookie(response, home.session, Secret(""), life=0)
