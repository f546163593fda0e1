"""The browser returns from NinjaOne: find the cookie of the state's session, and send the browser to the product."""

from collections.abc import Mapping

from broker import policy
from broker.edge.browser import redirect, redirect_to_notice, session_cookie, session_named, with_cookie
from broker.edge.http import Request, Response
from broker.edge.pages import Notice
from broker.flows.callback import AuthorizeResult, ReturnTo
from broker.model import SessionId
from broker.secret import Secret

_NOTICES: Mapping[AuthorizeResult, Notice] = {
    AuthorizeResult.AGREED: Notice.AWAITING_APPROVAL,
    AuthorizeResult.DENIED: Notice.DENIED,
    AuthorizeResult.REFUSED: Notice.REFUSED_AT_NINJAONE,
}


def is_prefetch(request: Request) -> bool:
    """Return whether the browser only prefetches the address."""
    return "prefetch" in request.headers.get("sec-purpose", "") or "prefetch" in request.headers.get("purpose", "")


def session_and_cookie(request: Request) -> tuple[SessionId | None, Secret | None]:
    """Read which session the query's state names, and the cookie for it, if the browser brought one."""
    named = session_named(request)
    return named, session_cookie(request, named) if named else None


def return_to_product(request: Request, target: ReturnTo) -> Response:
    """Send the browser back to the product, or to a page that says what happens next.

    It keeps its cookie for as long as a code lives: if this answer is lost and the callback is repeated, the browser
    then returns to the product with the same ticket.
    """
    response = redirect(target.location) if target.location else redirect_to_notice(_NOTICES[target.result])
    value = session_cookie(request, target.session)
    return with_cookie(response, target.session, value, life=policy.CODE_LIFE) if value else response
