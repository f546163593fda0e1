"""OAuth 2.0 messages as values: RFC 6749, RFC 7009, RFC 7636. No input or output happens here."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlencode

from broker.model import Client
from broker.secret import Secret

Form = Mapping[str, str]

BODY_LIMIT = 65_536
"""Bytes that are read of a token endpoint's answer; NinjaOne's are under 1 KB."""

PADDING = " \t\r\n\0\ufeff\u00a0"
"""Characters that may surround a JSON value."""

_CODE = re.compile(r"[\x21-\x7e]{1,2048}")
_STATE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ERROR = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,64}")


@dataclass(frozen=True)
class Reply:
    """An HTTP answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class NotSent:
    """No byte of the request left: it is safe to send it again."""

    cause: str


@dataclass(frozen=True)
class NoReply:
    """No answer came; the request may have been carried out."""

    cause: str


Answer = Reply | NotSent | NoReply


@dataclass(frozen=True)
class Authorized:
    """The person agreed. See RFC 6749 §4.1.2, RFC 9207 §2."""

    state: str
    code: Secret
    issuer: str | None


@dataclass(frozen=True)
class Denied:
    """The person or the server refused. See RFC 6749 §4.1.2.1.

    Attributes:
        error: the error code as sent, empty if it is malformed; compare it, never show it
    """

    state: str
    error: str
    issuer: str | None


class Malformed(ValueError):
    """A message breaks its RFC; the text of this error is a constant."""


def challenge(verifier: Secret) -> str:
    """Derive the S256 code challenge of a verifier. See RFC 7636 §4.2."""
    return b64url(hashlib.sha256(verifier.reveal().encode("ascii")).digest())


def b64url(data: bytes) -> str:
    """Encode without padding. See RFC 7636 appendix A."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def authorization_url(
    endpoint: str, *, client_id: str, redirect_uri: str, scope: str, state: str, code_challenge: str
) -> str:
    """Build the address to send the person to. See RFC 6749 §4.1.1, RFC 7636 §4.3."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
    }
    return f"{endpoint}?{urlencode(query)}"


def authorization_reply(raw_query: str) -> Authorized | Denied:
    """Read the parameters with which NinjaOne sends the person back.

    Args:
        raw_query: undecoded, since API Gateway joins repeated parameters with commas

    Raises:
        Malformed: a repeated or missing parameter, both or neither of code and error, or a bad character in a code

    See RFC 6749 §3.1 (a parameter without a value counts as left out), §4.1.2, §4.1.2.1.
    """
    query = _single_valued(raw_query)
    state, code, error = query.get("state", ""), query.get("code"), query.get("error")
    if not _STATE.fullmatch(state):
        raise Malformed("state is missing or malformed")
    if (code is None) == (error is None):
        raise Malformed("exactly one of code and error is expected")
    issuer = query.get("iss")
    if code is not None:
        if not _CODE.fullmatch(code):
            raise Malformed("code is malformed")
        return Authorized(state, Secret(code), issuer)
    return Denied(state, error if error and _ERROR.fullmatch(error) else "", issuer)


def _single_valued(raw_query: str) -> dict[str, str]:
    """Read the known parameters, each at most once; others are ignored, whatever they hold.

    See RFC 6749 §4.1.2: the client must ignore unrecognized response parameters.
    """
    pairs = [(unquote_plus(name), value) for name, _, value in (part.partition("=") for part in raw_query.split("&"))]
    known = [
        (name, value)
        for name, value in pairs
        if name in {"state", "iss"} or (name in {"code", "error"} and value)  # an empty issuer is a wrong issuer
    ]
    if len(known) != len({name for name, _ in known}):
        raise Malformed("a parameter is repeated")
    return {name: unquote_plus(value) for name, value in known}


def code_grant(client: Client, *, code: Secret, redirect_uri: str, code_verifier: Secret) -> Form:
    """Ask for tokens with an authorization code. See RFC 6749 §4.1.3, RFC 7636 §4.5."""
    return {
        "grant_type": "authorization_code",
        "code": code.reveal(),
        "redirect_uri": redirect_uri,
        "code_verifier": code_verifier.reveal(),
        **_client_in_body(client),
    }


def refresh_grant(client: Client, refresh: Secret) -> Form:
    """Ask for tokens with a refresh token. See RFC 6749 §6."""
    return {"grant_type": "refresh_token", "refresh_token": refresh.reveal(), **_client_in_body(client)}


def revocation(client: Client, refresh: Secret) -> Form:
    """Ask for the revocation of a refresh token. See RFC 7009 §2.1."""
    return {"token": refresh.reveal(), "token_type_hint": "refresh_token", **_client_in_body(client)}


def _client_in_body(client: Client) -> Form:
    """Authenticate the client as NinjaOne's own examples do. See RFC 6749 §2.3.1."""
    return {"client_id": client.id, "client_secret": client.secret.reveal()}


def json_object(body: bytes) -> Mapping[str, object] | None:
    """Read a JSON object; return None for anything else: HTML, truncated text, an array, a body that is too long.

    Invalid UTF-8, control characters and numbers of thousands of digits spoil only the field they are in, because the
    tokens beside it can't be requested again.
    """
    if len(body) > BODY_LIMIT:
        return None
    try:
        value = json.loads(json_text(body).strip(PADDING), strict=False, parse_int=integer)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def integer(digits: str) -> int | float:
    """Read an integer; one with more digits than Python converts becomes a float."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def json_text(body: bytes) -> str:
    """Decode JSON in UTF-8, or as some servers send it: with a byte order mark, in UTF-16, with invalid bytes."""
    return body.decode(json.detect_encoding(body), "replace")
