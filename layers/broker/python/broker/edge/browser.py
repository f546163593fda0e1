"""Entries for browsers: every answer is a page or a redirect, and carries all security headers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

from broker import errors, ninjaone, policy
from broker.adapters.clock import instant, random_secret
from broker.config import Config
from broker.edge import pages
from broker.edge.handler import Context, Entry, Warm, log_refusal, preload
from broker.edge.http import Event, Request, Response, cookie, security_headers
from broker.edge.pages import Brand, Choice, ConnectPage, Notice, Page, SecretPage
from broker.edge.problems import error_response
from broker.edge.wiring import Broker
from broker.errors import BrokerError, Fault
from broker.model import Binding, Session, SessionId, SessionPurpose, session_id, sha256_hex
from broker.secret import Secret

__all__ = [
    "Broker", "Notice", "Request", "Response", "browser", "connect_page", "fallback", "link_in", "notice", "redirect",
    "session_cookie", "session_of",
]  # fmt: skip

_REFERENCE = re.compile(r"[A-Z2-7]{4}-[A-Z2-7]{4}")
"""The form of ``Request.reference``: no other text of an address is shown, so nobody can put words on our page."""

_LINK = re.compile(r"(/connect/ses_[a-z2-7]{26})(?:/authorize|/secret|[^A-Za-z0-9]{1,8})")
"""A link, and what may follow it: the name of its form, or signs that came along when the link was pasted or mailed."""

View = Callable[[Broker, Request], Response]

_NOTICES: Mapping[type[BrokerError], Notice] = {
    errors.UnknownSession: Notice.UNKNOWN_LINK,
    errors.SessionExpired: Notice.EXPIRED,
    errors.AwaitingCompletion: Notice.RETURN_TO_PRODUCT,
    errors.SessionSpent: Notice.USED,
    errors.BindingMismatch: Notice.REFUSED_CALLBACK,
    errors.AnotherBrowser: Notice.ELSEWHERE_OPEN,
    errors.InvalidRequest: Notice.BAD_REQUEST,
    errors.OriginUnverified: Notice.WAY_AROUND,
    errors.TooManyRequests: Notice.TOO_MANY,
    errors.Retryable: Notice.TRY_AGAIN_LATER,
    BrokerError: Notice.BROKEN,
}


_OVER = (errors.UnknownSession, errors.SessionExpired, errors.SessionSpent)
"""After these errors a session's cookie is deleted; after others the same browser may still go on."""


def browser(view: View, *, warm: Warm, redirect_errors: bool = False) -> Entry[dict[str, object]]:
    """Make a Lambda entry of a view that answers browsers.

    Args:
        warm: touches what the view uses, so that Lambda creates it during initialization
        redirect_errors: whether the requested address holds a code and a state: then an error redirects to an address
            without them, and no page is shown here
    """
    name = view.__name__

    def work(broker: Broker, event: Event, _context: Context) -> dict[str, object]:
        request = Request.from_event(event)
        broker.log.about(session=session_named(request), reference=request.reference)
        _verify_origin(broker.config, request)
        return view(broker, request).to_event()

    def failed(broker: Broker, event: Event, error: BrokerError) -> dict[str, object]:
        kind = next(_NOTICES[each] for each in type(error).__mro__ if each in _NOTICES)
        request = Request.from_event(event)
        log_refusal(broker.log, name, error, level=error_response(error).level, status=kind.status)
        if redirect_errors and kind.status >= 500:
            broker.log.count("redirected_errors")  # API Gateway sees a 303 where others answer 5xx
        answer = (redirect_to_notice if redirect_errors else partial(notice, broker, reason=_reason(error)))(
            kind, reference=request.reference, return_to=error.return_to
        )
        return (_without_cookie(answer, request) if isinstance(error, _OVER) else answer).to_event()

    return preload(Entry(name, work, failed), warm)


def _verify_origin(config: Config, request: Request) -> None:
    """Check that the request came through the firewall, if there is one. Raises OriginUnverified."""
    expected = config.origin_verify
    if expected and sha256_hex(request.headers.get("x-origin-verify", "")) not in expected:
        raise errors.OriginUnverified


def _reason(error: BrokerError) -> str:
    """Return why a link is spent, if its customer can correct it: with an approval nobody has told them yet."""
    return error.detail if isinstance(error, errors.SessionSpent) and error.detail != type(error).detail else ""


def notice(broker: Broker, kind: Notice, *, reference: str = "", return_to: str = "", reason: str = "") -> Response:
    """Answer with a page that says what happened and what to do.

    Args:
        reason: a sentence of our own that the page shows too
        return_to: the key of the return address that its button leads to; an unknown key means the first
    """
    urls = broker.config.return_urls
    back = "" if kind is Notice.AWAITING_APPROVAL else urls.get(return_to) or next(iter(urls.values()), "")
    return page_response(pages.notice(brand(broker.config), kind, reference=reference, back=back, reason=reason))


def redirect_to_notice(kind: Notice, *, reference: str = "", return_to: str = "") -> Response:
    """Redirect to the page of a notice, away from an address that holds a code. See RFC 9700 §4.3.1."""
    given = {"reference": reference, "return_to": return_to}
    query = urlencode({name: text for name, text in given.items() if text})
    return redirect(f"/notice/{kind.slug}" + (f"?{query}" if query else ""))


def fallback(broker: Broker, request: Request) -> Response:
    """Answer at every address without a route of its own: a notice that a redirect leads to, or 404.

    A form is answered at its own address, which then stands in the address bar. Opening that address with a GET leads
    to the page with the form, and so does a link with a slash at its end.

    See RFC 9110 §15.5.6 (Allow).
    """
    if request.method != "GET":
        answer = notice(broker, Notice.METHOD)
        return replace(answer, headers={**answer.headers, "allow": "GET"})
    if link := link_in(request.raw_path):
        return redirect(link)
    notices = {f"/notice/{kind.slug}": kind for kind in Notice}
    reference = request.query_parameter("reference") or ""
    kind = notices.get(request.raw_path, Notice.NOT_FOUND)
    return notice(
        broker,
        kind,
        reference=reference if _REFERENCE.fullmatch(reference) else "",
        return_to=request.query_parameter("return_to") or "",
    )


def link_in(path: str) -> str | None:
    """Return the link that a path begins with, if a form's name or at most eight signs follow it; else None.

    Mail programs and chats take the full stop, the bracket or the quotation mark after a link for a part of it.
    """
    found = _LINK.fullmatch(path)
    return found[1] if found else None


def connect_page(
    broker: Broker,
    request: Request,
    session: Session,
    *,
    faults: tuple[Fault, ...] = (),
    typed: Mapping[str, str] | None = None,
) -> Response:
    """Answer with the page for the session's purpose, and set the cookie that will bind this browser to the session."""
    if session.purpose is SessionPurpose.CLIENT_SECRET:
        page = pages.secret_page(brand(broker.config), _secret_page_view(session, faults))
    else:
        page = pages.connect_page(brand(broker.config), connect_page_view(broker.config, session, faults, typed or {}))
    return bind_browser(broker, request, page_response(page), session)


def session_of(request: Request) -> SessionId:
    """Read which session the address names. Raises UnknownSession."""
    found = session_id(request.path_parameters.get("session", ""))
    if found is None:
        raise errors.UnknownSession
    return found


def session_named(request: Request) -> SessionId | None:
    """Read which session is meant, by the path or by the state that NinjaOne sent along."""
    return session_id(
        request.path_parameters.get("session") or (request.query_parameter("state") or "").partition(".")[0]
    )


def connect_page_view(
    config: Config, session: Session, faults: tuple[Fault, ...], typed: Mapping[str, str]
) -> ConnectPage:
    choices = _choices(config, session)
    needs_credentials = session.customer_app and not session.fixed_client
    return ConnectPage(
        session=session.session,
        tenant_name=session.tenant_name,
        label=session.label,
        scopes=tuple(ninjaone.scope_text(session.scopes).split()),
        choices=choices,
        branded_suffixes=config.branded_suffixes if session.customer_app and not session.fixed_host else (),
        chosen=typed.get("region") or (session.host.region if session.host else None),
        own_app=session.customer_app,
        needs_credentials=needs_credentials,
        redirect_uris={key: session.redirect_uri(key) for key in (*ninjaone.REGIONS, ninjaone.BRANDED)},
        reconnect=session.connection is not None,
        account=session.account,
        faults=faults,
        typed={name: text for name, text in typed.items() if name != "client_secret"},
        approval=session.binding is Binding.APPROVAL,
        life=_in_words(session.expires_at - session.created_at),
    )


def _secret_page_view(session: Session, faults: tuple[Fault, ...]) -> SecretPage:
    host = session.host
    return SecretPage(
        session=session.session,
        tenant_name=session.tenant_name,
        label=session.label,
        account=session.account,
        region=ninjaone.REGION_NAMES.get(host.region, "") if host else "",
        host=host.name if host else "",
        client_id=session.client_id,
        life=_in_words(session.expires_at - session.created_at),
        faults=faults,
    )


def _choices(config: Config, session: Session) -> tuple[Choice, ...]:
    """Return the one host that the backend chose, or every region that has a client app."""
    if session.fixed_host and session.host:
        host = session.host
        return (Choice(host.region, ninjaone.REGION_NAMES.get(host.region, host.name), host.name),)
    keys = ninjaone.REGIONS if session.customer_app else config.client_ids
    return tuple(Choice(key, ninjaone.REGION_NAMES[key], ninjaone.REGIONS[key]) for key in keys)


def _in_words(seconds: int) -> str:
    days, minutes = seconds // policy.DAY, seconds // 60
    return f"{days} days" if days > 1 else f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours"


def brand(config: Config) -> Brand:
    return Brand(config.product_name, config.support, config.accent, config.logo)


COOKIE = re.compile(r"__Host-flow_[0-9a-f]{8}")
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
MAX_FLOWS_PER_BROWSER = 10
"""Flows for which one browser keeps a cookie; API Gateway accepts 10 KB of headers in all."""


def session_cookie(request: Request, session: SessionId) -> Secret | None:
    """Return the browser's cookie for a session, if it has one of the right form."""
    value = request.cookies.get(cookie_name(session))
    return value if value and _VALUE.fullmatch(value.reveal()) else None


def bind_browser(
    broker: Broker, request: Request, response: Response, session: Session, *, value: Secret | None = None
) -> Response:
    """Set the cookie of a session in the browser, or renew the one that it has.

    It is set with the connect page, not with the redirect to NinjaOne, so that a person who sends the form twice, or
    whose answer is lost, is recognized as the same browser. It lives until any code of this session has expired.

    Args:
        value: the cookie to set; None for the one that the browser has, or else a new one

    See RFC 6265 §5.4: of one path, browsers send the oldest first.
    """
    value = value or session_cookie(request, session.session) or random_secret(broker.ports.entropy)
    others = [name for name in request.cookies if COOKIE.fullmatch(name) and name != cookie_name(session.session)]
    old = tuple(cookie(name, Secret(""), life=0) for name in others[: max(0, len(others) - MAX_FLOWS_PER_BROWSER + 1)])
    left = max(0, session.expires_at - instant(broker.ports.clock))
    life = min(left, policy.SESSION_LIFE) + policy.CODE_LIFE
    return with_cookie(replace(response, cookies=old), session.session, value, life=life)


def cookie_name(session: SessionId) -> str:
    """Return a cookie name of the session's own, so that flows in two tabs don't overwrite each other's cookie."""
    return f"__Host-flow_{sha256_hex(session)[:8]}"


def page_response(page: Page) -> Response:
    return Response(page.status, page.html, page.headers)


def redirect(location: str) -> Response:
    return Response(303, "", {**security_headers(), "location": location})


def with_cookie(response: Response, session: SessionId, value: Secret, *, life: int) -> Response:
    return replace(response, cookies=(*response.cookies, cookie(cookie_name(session), value, life=life)))


def _without_cookie(response: Response, request: Request) -> Response:
    """Delete the session's cookie, if the browser brought it."""
    named = session_named(request)
    brought = named is not None and cookie_name(named) in request.cookies
    return with_cookie(response, named, Secret(""), life=0) if named and brought else response
