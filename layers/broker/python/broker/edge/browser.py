"""Entries for people: every answer is a page or a redirect, and carries the whole set of headers."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from broker import errors, ninjaone
from broker.config import Config
from broker.edge import pages
from broker.edge.bodies import Form
from broker.edge.entry import Context, Entry, Warm, refused, warmed
from broker.edge.http import Event, Request, Response, cookie
from broker.edge.pages import Brand, Choice, HostProblem, Invitation, Notice, Page
from broker.edge.problems import turn
from broker.edge.wiring import Broker
from broker.errors import BrokerError, Fault
from broker.flows.arrive import Home, Said
from broker.flows.depart import Departure, HostCheck, Leaving
from broker.model import Session, SessionId, digest, session_id
from broker.policy import FLOW_LIFE
from broker.secret import Secret

__all__ = [
    "Broker", "Notice", "Request", "Response", "browser", "came_from_our_page", "cookies_by_session", "departure",
    "gone_home", "host_problem", "invitation", "is_prefetch", "leave", "notice", "session_of",
]  # fmt: skip

View = Callable[[Broker, Request], Response]

_NOTICES: Mapping[type[BrokerError], Notice] = {
    errors.UnknownSession: Notice.UNKNOWN_LINK,
    errors.SessionExpired: Notice.EXPIRED,
    errors.SessionInHand: Notice.RETURN_TO_PRODUCT,
    errors.SessionSpent: Notice.USED,
    errors.BindingMismatch: Notice.REFUSED_CALLBACK,
    errors.AnotherBrowser: Notice.ELSEWHERE_OPEN,
    errors.InvalidRequest: Notice.BAD_REQUEST,
    errors.TooManyRequests: Notice.TOO_MANY,
    errors.Later: Notice.TRY_AGAIN_LATER,
    BrokerError: Notice.BROKEN,
}

_SAID: Mapping[Said, Notice] = {
    Said.AGREED: Notice.AWAITING_APPROVAL,
    Said.DENIED: Notice.DENIED,
    Said.REFUSED: Notice.REFUSED_AT_NINJAONE,
}


def browser(view: View, *, warm: Warm) -> Entry[dict[str, object]]:
    """Make a Lambda entry of a view that answers people.

    warm   touches what the view uses, so that Lambda makes it at its start
    """
    name = view.__name__

    def work(broker: Broker, event: Event, _context: Context) -> dict[str, object]:
        return view(broker, Request.from_event(event)).to_event()

    def failed(broker: Broker, event: Event, error: BrokerError) -> dict[str, object]:
        kind = next(_NOTICES[each] for each in type(error).__mro__ if each in _NOTICES)
        request = Request.from_event(event)
        refused(broker.log, name, error, level=turn(error).level, status=kind.status)
        return notice(broker, kind, reference=request.request_id).to_event()

    return warmed(Entry(name, work, failed), warm)


def notice(broker: Broker, kind: Notice, *, reference: str = "") -> Response:
    """Answer with a page that says what happened and what to do."""
    return _response(pages.notice(_brand(broker.config), kind, reference=reference))


def invitation(
    broker: Broker,
    session: Session,
    *,
    faults: tuple[Fault, ...] = (),
    typed: Mapping[str, str] | None = None,
) -> Response:
    """Answer with the connect page."""
    return _response(pages.invitation(_brand(broker.config), _view(broker.config, session, faults, typed or {})))


def host_problem(broker: Broker, leaving: Leaving, *, typed: Mapping[str, str]) -> Response:
    """Answer with the connect page and what the chosen host said; the browser keeps its cookie to try again."""
    session = leaving.session
    known = leaving.check is HostCheck.UNREACHABLE
    problem = HostProblem.UNREACHABLE if known else HostProblem.UNKNOWN_CLIENT
    view = _view(broker.config, session, (), typed)
    response = _response(
        pages.host_problem(_brand(broker.config), view, problem, session.place.host if session.place else "")
    )
    return _with_cookie(response, session.session, leaving.cookie, life=FLOW_LIFE)


def leave(leaving: Leaving) -> Response:
    """Send the browser to NinjaOne. 303 turns the POST into a GET. Source   RFC 9110 §15.4.4, RFC 9700 §4.12"""
    return _with_cookie(_redirect(leaving.location), leaving.session.session, leaving.cookie, life=FLOW_LIFE)


def gone_home(broker: Broker, home: Home) -> Response:
    """Send the browser back to the product, or let the person wait for an approval."""
    response = _redirect(home.location) if home.location else notice(broker, _SAID[home.said])
    return _with_cookie(response, home.session, Secret(""), life=0)


def session_of(request: Request) -> SessionId:
    """Read which session the address names. Raises   UnknownSession"""
    found = session_id(request.path.get("session", ""))
    if found is None:
        raise errors.UnknownSession
    return found


def departure(request: Request, session: SessionId, form: Form) -> Departure:
    """Put together what the person sent. Raises   InvalidRequest"""
    if form.place is None:
        raise errors.InvalidRequest(*form.faults)
    return Departure(
        session=session,
        place=form.place,
        client=form.client,
        cookie=request.cookies.get(_name(session)),
        check_host=not form.go_anyway,
    )


def cookies_by_session(request: Request) -> Mapping[str, Secret]:
    """Read the cookie of the session that the query's state names, if the browser brought it."""
    named = session_id((request.query("state") or "").partition(".")[0])
    held = request.cookies.get(_name(named)) if named else None
    return {named: held} if named and held else {}


def came_from_our_page(request: Request) -> bool:
    """Say whether a form was sent from our own page.

    Our pages send no referrer, so their ``Origin`` is ``null``: ``Sec-Fetch-Site`` decides where it is sent.
    Source   Fetch Metadata (W3C) §2.3; RFC 6454 §7
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == f"https://{request.domain}"


def is_prefetch(request: Request) -> bool:
    """Say whether the browser only looks ahead."""
    return "prefetch" in request.headers.get("sec-purpose", "") or "prefetch" in request.headers.get("purpose", "")


def _view(config: Config, session: Session, faults: tuple[Fault, ...], typed: Mapping[str, str]) -> Invitation:
    choices = _choices(config, session)
    needs_credentials = session.own and not session.fixed_client
    home = urlsplit(config.return_urls.get(session.return_to, ""))
    return Invitation(
        session=session.session,
        tenant_name=session.tenant_name,
        label=session.label,
        scopes=tuple(ninjaone.scope_text(session.scope).split()),
        choices=choices,
        branded_suffixes=config.branded_suffixes if session.own and not session.fixed_place else (),
        chosen=typed.get("region") or (session.place.region if session.place else None),
        own_app=session.own,
        needs_credentials=needs_credentials,
        redirect_uris={key: session.redirect_uri(key) for key in (*ninjaone.REGIONS, ninjaone.BRANDED)},
        reconnect=session.connection is not None,
        faults=faults,
        typed={name: held for name, held in typed.items() if name != "client_secret"},
        return_origin=f"{home.scheme}://{home.netloc}" if home.netloc else "",
    )


def _choices(config: Config, session: Session) -> tuple[Choice, ...]:
    """Offer the one place that the backend fixed, or every region that has a client app."""
    if session.fixed_place and session.place:
        place = session.place
        return (Choice(place.region, ninjaone.REGION_NAMES.get(place.region, place.host), place.host),)
    keys = ninjaone.REGIONS if session.own else config.client_ids
    return tuple(Choice(key, ninjaone.REGION_NAMES[key], ninjaone.REGIONS[key]) for key in keys)


def _brand(config: Config) -> Brand:
    return Brand(config.product_name, config.support, config.accent, config.logo)


def _name(session: SessionId) -> str:
    """Name the cookie by its session, so that two tabs don't overwrite each other's."""
    return f"__Host-flow_{digest(session)[:8]}"


def _response(page: Page) -> Response:
    return Response(page.status, page.html, page.headers)


def _redirect(location: str) -> Response:
    return Response(303, "", {**pages.security_headers(), "location": location})


def _with_cookie(response: Response, session: SessionId, held: Secret, *, life: int) -> Response:
    return Response(response.status, response.body, response.headers, (cookie(_name(session), held, life=life),))
