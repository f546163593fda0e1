"""What follows from a browser's cookie: the state, the code verifier and the ticket of one flow.

Each is an HMAC keyed by the 256 random bits of the cookie, under a label of its own. A browser that repeats a step,
because it sent a form twice or because an answer never arrived, therefore gets the same values again, and nothing that
is stored or that stands in an address lets anybody else compute them.

See RFC 2104, RFC 6749 §10.12, RFC 7636 §7.1.
"""

import hashlib
import hmac

from broker import oauth
from broker.model import SessionId, sha256_hex, unambiguous
from broker.secret import Secret


def state(cookie: Secret, session: SessionId, flow: str) -> Secret:
    """Derive the state of a flow; it also names the session that it belongs to."""
    return Secret(f"{session}.{_derive(cookie, 'state', session, flow)}")


def verifier(cookie: Secret, session: SessionId, flow: str) -> Secret:
    """Derive the code verifier of a flow: 43 characters. See RFC 7636 §4.1."""
    return Secret(_derive(cookie, "verifier", session, flow))


def ticket(cookie: Secret, sent_state: str) -> Secret:
    """Derive the ticket that a callback with this state takes to the product."""
    return Secret(_derive(cookie, "ticket", sent_state))


def choice(cookie: Secret, *chosen: str) -> str:
    """Name what a person chose in the connect page's form, so that the same choice can be told from another.

    It is stored. The client secret may be part of it: without the cookie nobody can try candidates for it.
    """
    return _derive(cookie, "choice", *chosen)


def digest(cookie: Secret) -> str:
    """Name a cookie by its SHA-256, as it is stored."""
    return sha256_hex(cookie.reveal())


def _derive(cookie: Secret, label: str, *parts: str) -> str:
    message = unambiguous(f"ninjaone-connect {label}", *parts)
    return oauth.b64url(hmac.new(cookie.reveal().encode(), message, hashlib.sha256).digest())
