"""The state, the code verifier and the ticket of one flow, derived from the browser's cookie.

Each is an HMAC keyed by the 256 random bits of the cookie, under a label of its own. So a browser that repeats a step,
because it sent a form twice or an answer was lost, gets the same values again, and nobody else can compute them from
what is stored or stands in an address.

See RFC 2104, RFC 6749 §10.12, RFC 7636 §7.1.
"""

import hashlib
import hmac

from broker import oauth
from broker.model import SessionId, sha256_hex, unambiguous
from broker.secret import Secret


def state(cookie: Secret, session: SessionId, flow: str) -> Secret:
    """Derive the state of a flow; it also contains the id of its session."""
    return Secret(f"{session}.{_derive(cookie, 'state', session, flow)}")


def code_verifier(cookie: Secret, session: SessionId, flow: str) -> Secret:
    """Derive the code verifier of a flow: 43 characters. See RFC 7636 §4.1."""
    return Secret(_derive(cookie, "verifier", session, flow))


def ticket(cookie: Secret, sent_state: str) -> Secret:
    """Derive the ticket with which a callback with this state returns to the product."""
    return Secret(_derive(cookie, "ticket", sent_state))


def form_digest(cookie: Secret, *chosen: str) -> str:
    """Derive a digest of what a person chose in the connect page's form, to recognize the same choice.

    It is stored. A client secret may be part of the choice, and without the cookie nobody can test guesses against it.
    """
    return _derive(cookie, "choice", *chosen)


def digest(cookie: Secret) -> str:
    """Return the SHA-256 of a cookie, as it is stored."""
    return sha256_hex(cookie.reveal())


def _derive(cookie: Secret, label: str, *parts: str) -> str:
    message = unambiguous(f"ninjaone-connect {label}", *parts)
    return oauth.b64url(hmac.new(cookie.reveal().encode(), message, hashlib.sha256).digest())
