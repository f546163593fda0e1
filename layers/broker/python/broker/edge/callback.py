"""The way back from NinjaOne: find the cookie of the state's session, and send the browser on to the product."""

from collections.abc import Mapping

from broker import policy
from broker.edge.browser import redirect, redirect_to_notice, session_cookie, session_named, with_cookie
from broker.edge.http import Request, Response
from broker.edge.pages import Notice
from broker.flows.callback import AuthorizeResult, ReturnTo
from broker.model import SessionId
from broker.secret import Secret

_SAID: Mapping[AuthorizeResult, Notice] = {
    AuthorizeResult.AGREED: Notice.AWAITING_APPROVAL,
    AuthorizeResult.DENIED: Notice.DENIED,
    AuthorizeResult.REFUSED: Notice.REFUSED_AT_NINJAONE,
}


def is_prefetch(request: Request) -> bool:
    """Say whether the browser only looks ahead."""
    return "prefetch" in request.headers.get("sec-purpose", "") or "prefetch" in request.headers.get("purpose", "")


def cookies_by_session(request: Request) -> Mapping[SessionId, Secret]:
    """Read the cookie of the session that the query's state names, if the browser brought it."""
    named = session_named(request)
    value = session_cookie(request, named) if named else None
    return {named: value} if named and value else {}


def return_to_product(request: Request, target: ReturnTo) -> Response:
    """Send the browser back to the product, or to the page that says what comes now.

    It keeps its cookie for as long as a code lives, so that it goes home with the same ticket should this answer be
    lost and the callback come again.
    """
    response = redirect(target.location) if target.location else redirect_to_notice(_SAID[target.result])
    value = session_cookie(request, target.session)
    return with_cookie(response, target.session, value, life=policy.CODE_LIFE) if value else response
