"""POST /v1/tenants/{tenant}/connections/{connection}/token: a backend asks for an access token."""

from broker.edge.api import Broker, Request, Response, answer, api, ref_of
from broker.edge.token import token_request


def token(broker: Broker, request: Request) -> Response:
    """Return a valid access token; never a refresh token.

    Reads the body (``min_ttl``, ``refused_version``). Answers 200 with the token, 400 with the faults of the body, 404
    when the connection is unknown, 409 when its customer has to act, 503 when no token is valid right now.

    See RFC 6749 §5.1, RFC 6750 §4.
    """
    asked = token_request(request)
    issued = broker.get_token(ref_of(request), min_ttl=asked.min_ttl, refused_version=asked.refused_version)
    return answer(
        {
            "access_token": issued.access.reveal(),
            "token_type": "Bearer",
            "expires_at": issued.expires_at,
            "expires_in": issued.expires_in,
            "api_base_url": issued.api_base_url,
            "version": issued.version,
        }
    )


handler = api({"POST /v1/tenants/{tenant}/connections/{connection}/token": token}, warm=lambda broker: broker.get_token)
