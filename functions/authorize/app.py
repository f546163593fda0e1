"""POST /connect/{session}/authorize and …/secret: the person leaves for NinjaOne, or enters their app's new secret."""

from broker.edge.authorize import (
    authorize_request,
    host_problem,
    is_same_origin,
    leave_for_ninjaone,
    read_form,
    read_secret,
    secret_page,
)
from broker.edge.browser import (
    Broker,
    Notice,
    Request,
    Response,
    browser,
    connect_page,
    notice,
    session_cookie,
    session_of,
)


def authorize(broker: Broker, request: Request) -> Response:
    """Bind this browser to the session and send it to NinjaOne.

    Reads the form (``region``, ``subdomain``, ``suffix``, ``client_id``, ``client_secret``, ``go_anyway``) and the
    browser's cookie. Answers 200 with the page that leads to NinjaOne, 400 or 502 with the form again, 409 in another
    browser, 410 when the link is expired or used, 429.
    """
    session = session_of(request)
    if not is_same_origin(broker.config, request):
        return notice(broker, Notice.WRONG_ORIGIN)
    if request.route == "POST /connect/{session}/secret":
        return enter_secret(broker, request)
    sent = read_form(broker.config, request)
    if sent.host is None or sent.faults:
        found = broker.start_authorization.note_faulty_form(session, session_cookie(request, session))
        return connect_page(broker, request, found, faults=sent.faults, typed=sent.typed)
    authorize_redirect = broker.start_authorization(authorize_request(request, session, sent))
    if authorize_redirect.is_doubtful:
        return host_problem(broker, request, authorize_redirect, typed=sent.typed)
    return leave_for_ninjaone(broker, request, authorize_redirect)


def enter_secret(broker: Broker, request: Request) -> Response:
    """Keep the new secret of the customer's own client app until the product completes.

    Reads the form (``client_secret``) and the browser's cookie. Answers 200 with the page that leads back to the
    product, 400 with the form again, 409 in another browser, 410 when the link is expired or used, 429.
    """
    session, (secret, faults) = session_of(request), read_secret(request)
    cookie = session_cookie(request, session)
    if secret is None:
        found = broker.enter_secret.note_faulty_form(session, cookie)
        return connect_page(broker, request, found, faults=faults)
    return secret_page(broker, request, broker.enter_secret(session, secret, cookie))


handler = browser(authorize, warm=lambda broker: broker.start_authorization)
