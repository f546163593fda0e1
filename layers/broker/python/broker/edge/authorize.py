"""Sending the browser to NinjaOne: the connect page's form, the browser's cookie, the redirect."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker import errors, ninjaone
from broker.config import Config
from broker.edge import pages
from broker.edge.browser import bind_browser, brand, connect_page, connect_page_view, page_response, session_cookie
from broker.edge.http import Request, Response
from broker.edge.pages import MAX_SHOWN_CHARACTERS, HostProblem
from broker.edge.wiring import Broker
from broker.errors import Fault
from broker.flows.authorize import AuthorizeRedirect, AuthorizeRequest, HostCheck
from broker.flows.enter_secret import EnteredSecret
from broker.model import Client, Host, SessionId
from broker.secret import Secret
from broker.text import credential

_ID_WANTED = "Enter the client id alone, as NinjaOne shows it: no address, no space, only letters, digits and signs."
_SECRET_WANTED = "Enter the client secret alone, as NinjaOne showed it once: no space, only letters, digits and signs."
_BRANDED_WANTED = (
    "Enter the first part of your NinjaOne address (letters from a to z, digits, hyphens), or a whole address "
    "that ends in {}."
)


@dataclass(frozen=True)
class ConnectForm:
    """The form of the connect page; ``typed`` is what may be shown again."""

    host: Host | None
    client: Client | None
    go_anyway: bool
    faults: tuple[Fault, ...]
    typed: Mapping[str, str]


def read_form(config: Config, request: Request) -> ConnectForm:
    """Read the person's choice."""
    sent = request.form()
    faults: list[Fault] = []
    host = _chosen(config, sent, faults)
    client = _entered(sent, faults)
    typed = {
        name: sent[name][:MAX_SHOWN_CHARACTERS]
        for name in ("region", "subdomain", "suffix", "client_id")
        if name in sent
    }
    return ConnectForm(host, client, sent.get("go_anyway") == "yes", tuple(faults), typed)


def read_secret(request: Request) -> tuple[Secret | None, tuple[Fault, ...]]:
    """Read the form that asks for a client secret alone."""
    secret = credential(request.form().get("client_secret", ""))
    if not secret:
        return None, (Fault("client_secret", _SECRET_WANTED),)
    return Secret(secret), ()


def is_same_origin(config: Config, request: Request) -> bool:
    """Return whether a form was sent from our own page.

    ``Sec-Fetch-Site`` decides where it is sent. Older browsers, such as Safari before 16.4, send only ``Origin``.
    Behind the firewall a request names the API's own host, so a configured domain takes precedence over that.

    See Fetch Metadata (W3C) §2.3; RFC 6454 §7.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == (config.connect_url or f"https://{request.domain}")


def authorize_request(request: Request, session: SessionId, form: ConnectForm) -> AuthorizeRequest:
    """Build the request from what the person sent. Raises InvalidRequest."""
    if form.host is None:
        raise errors.InvalidRequest(*form.faults)
    return AuthorizeRequest(
        session=session,
        host=form.host,
        client=form.client,
        cookie=session_cookie(request, session),
        check_host=not form.go_anyway,
    )


def host_problem(
    broker: Broker, request: Request, authorize_redirect: AuthorizeRedirect, *, typed: Mapping[str, str]
) -> Response:
    """Answer with the connect page and the result of the host check; the browser keeps its cookie to try again."""
    session = authorize_redirect.session
    unreachable = authorize_redirect.host_check is HostCheck.UNREACHABLE
    problem = HostProblem.UNREACHABLE if unreachable else HostProblem.UNKNOWN_CLIENT
    view = connect_page_view(broker.config, session, (), typed)
    response = page_response(
        pages.host_problem(brand(broker.config), view, problem, session.host.name if session.host else "")
    )
    return _bound(broker, request, response, authorize_redirect)


def leave_for_ninjaone(broker: Broker, request: Request, authorize_redirect: AuthorizeRedirect) -> Response:
    """Send the browser to NinjaOne with a GET that carries nothing of the form. See RFC 9700 §4.12."""
    host = authorize_redirect.session.host
    page = pages.leave(brand(broker.config), authorize_redirect.location, host.name if host else "")
    return _bound(broker, request, page_response(page), authorize_redirect)


def secret_page(broker: Broker, request: Request, entered: EnteredSecret) -> Response:
    """Answer a form with a secret: on to the product, or the page again with NinjaOne's reason to refuse it."""
    if entered.fault:
        return connect_page(broker, request, entered.session, faults=(entered.fault,))
    page = page_response(pages.back(brand(broker.config), entered.location))
    return bind_browser(broker, request, page, entered.session, value=entered.cookie)


def _bound(broker: Broker, request: Request, response: Response, authorize_redirect: AuthorizeRedirect) -> Response:
    return bind_browser(broker, request, response, authorize_redirect.session, value=authorize_redirect.cookie)


def _chosen(config: Config, sent: Mapping[str, str], faults: list[Fault]) -> Host | None:
    region = sent.get("region", "")
    if region != ninjaone.BRANDED:
        host = ninjaone.regional_host(region)
        if host is None:
            faults.append(Fault("region", "Choose the region of your NinjaOne account."))
        return host
    host = ninjaone.pasted_host(sent.get("subdomain", ""), config.branded_suffixes, sent.get("suffix", ""))
    if host is None:
        faults.append(Fault("subdomain", _BRANDED_WANTED.format(", ".join(config.branded_suffixes))))
    elif host.region != ninjaone.BRANDED:
        faults.append(Fault("subdomain", f"{host.name} is the host of a region: choose the region above."))
        return None
    return host


def _entered(sent: Mapping[str, str], faults: list[Fault]) -> Client | None:
    if not any(sent.get(name, "").strip() for name in ("client_id", "client_secret")):
        return None
    client_id, secret = credential(sent.get("client_id", "")), credential(sent.get("client_secret", ""))
    if not client_id or "://" in client_id:
        faults.append(Fault("client_id", _ID_WANTED))
    if not secret:
        faults.append(Fault("client_secret", _SECRET_WANTED))
    elif secret == client_id:
        faults.append(Fault("client_secret", "This is the client id again. Enter the client secret."))
    return None if faults else Client(client_id, Secret(secret), customer_app=True)
