"""How NinjaOne behaves: hosts, endpoints, scopes, the meaning of its answers. Evidence: docs/understand/ninjaone.md."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from urllib.parse import unquote

from broker import oauth
from broker.model import Host, Instant, Seconds, Tokens
from broker.secret import Secret
from broker.text import hyphenated, words

_REGIONS: Mapping[str, tuple[str, str]] = {
    "app": ("app.ninjarmm.com", "North America"),
    "us2": ("us2.ninjarmm.com", "United States (US2)"),
    "eu": ("eu.ninjarmm.com", "Europe"),
    "ca": ("ca.ninjarmm.com", "Canada"),
    "oc": ("oc.ninjarmm.com", "Oceania"),
    "jp": ("jp.ninjarmm.com", "Japan"),
    "fed": ("fed.ninjarmm.com", "US government (FedRAMP)"),
}
"""Region key → host, name. How to add one: docs/understand/extending.md. See docs/understand/ninjaone.md §2."""

REGIONS: Mapping[str, str] = {key: host for key, (host, _) in _REGIONS.items()}
REGION_NAMES: Mapping[str, str] = {key: name for key, (_, name) in _REGIONS.items()}

BRANDED = "branded"
"""The region key of a customer's own host name, such as ``acme.rmmservice.eu``."""

SCOPES = ("monitoring", "management", "control")
"""In the order in which NinjaOne shows them. How to add one: docs/understand/extending.md."""

OFFLINE_ACCESS = "offline_access"
"""Without it NinjaOne gives no refresh token. See docs/understand/ninjaone.md §4."""

DEFAULT_LIFETIME = Seconds(3600)
SHORTEST_LIFETIME, LONGEST_LIFETIME = Seconds(60), Seconds(86_400)
LONGEST_WAIT = Seconds(3600)
"""The longest ``Retry-After`` that is believed."""

_DEAD = frozenset({"invalid_grant", "invalid_token", "expired_token"})
"""NinjaOne says ``invalid_token`` where RFC 6749 §5.2 says ``invalid_grant``.

See docs/understand/ninjaone.md §8.
"""

_CONFIG = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_scope", "invalid_request", "unsupported_grant_type"}
)
UNKNOWN_CLIENT = "unknown_client"
_ABOUT_APP = frozenset({"invalid_client", "unauthorized_client", UNKNOWN_CLIENT})
"""Refusals of the client app itself. Every other refusal, ``invalid_scope`` too, can be about a single grant."""
_UNKNOWN_CLIENT_RESULT = "Client app not exist"

_SUBDOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,64}")
_LEADING_NUMBER = re.compile(r"\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_AFTER_SECONDS = re.compile(r"\s*s(ec(ond)?s?)?\s*\Z", re.IGNORECASE)
_BETWEEN_SCOPES = re.compile(r"[\s,]+")
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:){0,8}(?:https?:|(?:https?)?[/\\]+)")
_AFTER_HOST = re.compile(r"[/\\?#&]")
_STOPS = ".,;"


def regional_host(key: str) -> Host | None:
    """Return a regional host by its key; None for any other text."""
    host = REGIONS.get(key)
    return Host(key, host) if host else None


def branded_host(subdomain: str, suffix: str, suffixes: tuple[str, ...]) -> Host | None:
    """Build a branded host from one DNS label and an allowed suffix; None for anything else."""
    if suffix not in suffixes or not _SUBDOMAIN.fullmatch(subdomain):
        return None
    return Host(BRANDED, f"{subdomain}.{suffix}")


def find_host(name: str, suffixes: tuple[str, ...]) -> Host | None:
    """Return the host of a whole host name: a regional one, or a branded one with an allowed suffix; else None."""
    for key, known in REGIONS.items():
        if name == known:
            return Host(key, known)
    subdomain, _, suffix = name.partition(".")
    return branded_host(subdomain, suffix, suffixes)


def pasted_host(text: str, suffixes: tuple[str, ...], suffix: str = "") -> Host | None:
    """Find the one host in what a person typed or pasted: its name or an address, with other text around it.

    Percent-encoding is read (RFC 3986 §2.1). Full stops of other scripts count (Unicode Technical Standard 46, §2.3).

    Args:
        suffix: completes a single word that is the first label of a branded host; empty if a whole name is needed
    """
    names = [name for name in map(_host_name, words(unquote(text))) if any(map(str.isalnum, name))]
    whole = {host for name in names if (host := find_host(name, suffixes))}
    if len(whole) == 1:
        return whole.pop()
    return branded_host(names[0], suffix, suffixes) if len(names) == 1 else None


def _host_name(word: str) -> str:
    """Return the host of an address with or without its scheme. See RFC 3986 §3.2 (user information, port)."""
    address = hyphenated(word).replace("\u3002", ".").lower()
    scheme = _SCHEME.match(address)
    host = _AFTER_HOST.split(address[scheme.end() :] if scheme else address, maxsplit=1)[0]
    if scheme:  # without one, what has an @ is a mail address
        host = host.rpartition("@")[2]
    name, colon, port = host.strip(_STOPS).rpartition(":")
    found = (name if colon and (port.isdecimal() or not port) else host).strip(_STOPS).removeprefix("www.")
    return "" if found in {"http", "https"} else found


def authorize_endpoint(host: Host) -> str:
    """See docs/understand/ninjaone.md §1."""
    return f"https://{host.name}/ws/oauth/authorize"


def token_endpoint(host: Host) -> str:
    """See docs/understand/ninjaone.md §1."""
    return f"https://{host.name}/ws/oauth/token"


def revocation_endpoint(host: Host) -> str:
    """See docs/understand/ninjaone.md §1."""
    return f"https://{host.name}/ws/oauth/revoke"


def issuer(host: Host) -> str:
    """NinjaOne's issuer ends with a slash. See docs/understand/ninjaone.md §1."""
    return f"https://{host.name}/"


def api_base_url(host: Host) -> str:
    """What the paths of NinjaOne's API (``/v2/…``) are appended to."""
    return f"https://{host.name}"


def scope_text(scope: frozenset[str]) -> str:
    """Write scopes in NinjaOne's order, separated by one space."""
    order = (*SCOPES, OFFLINE_ACCESS)
    return " ".join(sorted(scope, key=lambda name: (order.index(name) if name in order else len(order), name)))


def scope_set(text: str) -> frozenset[str]:
    """Read a ``scope`` value as a set: NinjaOne returns scopes in another order than requested."""
    return frozenset(text.split())


class Meaning(StrEnum):
    """What an answer of the token endpoint means for the code or token that was presented."""

    GRANTED = "granted"
    DEAD = "dead"  # NinjaOne rejects the token or code
    CONFIG = "config"  # the client app, its secret or the request is wrong, which says nothing about the token
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"  # refused before it was carried out
    AMBIGUOUS = "ambiguous"  # may have been carried out
    NOT_SENT = "not_sent"


@dataclass(frozen=True)
class Outcome:
    """An answer of the token endpoint, classified.

    Attributes:
        code: an enumerated cause for log lines and decisions; never text of NinjaOne's
        tokens: present exactly if GRANTED
        retry_after: seconds, if NinjaOne named a plausible number
    """

    meaning: Meaning
    code: str
    tokens: Tokens | None = None
    retry_after: Seconds | None = None

    @property
    def is_about_app(self) -> bool:
        """Whether NinjaOne refused the client app or its secret, whatever was presented with it."""
        return is_about_app(self.code)


def is_about_app(code: str) -> bool:
    """Return whether a cause is a refusal of the client app or of its secret."""
    return code in _ABOUT_APP


def classify(answer: oauth.Answer, sent_at: Instant) -> Outcome:
    """Return what an answer means. Every answer has exactly one meaning.

    Only 400 or 401 with a JSON ``error`` that is one of ``_DEAD`` is ``Meaning.DEAD``.

    See docs/understand/ninjaone.md §8, RFC 6749 §5.2.
    """
    if isinstance(answer, oauth.NotSent):
        return Outcome(Meaning.NOT_SENT, answer.cause)
    if isinstance(answer, oauth.NoReply):
        return Outcome(Meaning.AMBIGUOUS, answer.cause)
    if answer.status == 200:
        return _success(answer, sent_at)
    if answer.status == 429:
        return Outcome(Meaning.THROTTLED, "throttled", retry_after=_retry_after(answer))
    if answer.status >= 500 or answer.status < 400 or answer.status == 408:
        return Outcome(Meaning.AMBIGUOUS, f"status_{answer.status}")
    return _refusal(answer)


def _success(reply: oauth.Reply, sent_at: Instant) -> Outcome:
    body = oauth.json_object(reply.body)
    if body is None:
        return Outcome(Meaning.AMBIGUOUS, "body_unreadable")
    tokens = _tokens(body, sent_at)
    if tokens is None:
        return Outcome(Meaning.AMBIGUOUS, "body_incomplete")
    return Outcome(Meaning.GRANTED, "granted", tokens)


def _tokens(body: Mapping[str, object], sent_at: Instant) -> Tokens | None:
    """Read tokens. A missing ``token_type`` counts as bearer, because the tokens can't be requested again.

    See RFC 6749 §3.3, §5.1; ``expires_in`` may be absent (docs/understand/ninjaone.md §9 U22).
    """
    access, kind = _token(body.get("access_token")), body.get("token_type") or "bearer"
    if access is None or not isinstance(kind, str) or kind.strip().lower() != "bearer":
        return None
    return Tokens(
        access=access,
        refresh=_token(body.get("refresh_token")),
        expires_at=Instant(sent_at + _lifetime(body.get("expires_in"))),
        scopes=_granted_scopes(body.get("scope")),
    )


def _granted_scopes(said: object) -> frozenset[str]:
    """Read the scopes of an answer, also from a list or with commas; unread, they would look like withdrawn scopes."""
    text = " ".join(map(str, said)) if isinstance(said, list) else said
    return frozenset(filter(_SCOPE.fullmatch, _BETWEEN_SCOPES.split(text))) if isinstance(text, str) else frozenset()


def _token(value: object) -> Secret | None:
    return Secret(value) if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _lifetime(value: object) -> Seconds:
    """Read a lifetime. Of a text such as "600s" its number counts: seconds, the shortest of all units it may mean."""
    if isinstance(value, str) and (number := _LEADING_NUMBER.match(value)):
        value = number[0]
    seconds = _whole_seconds(value)
    if seconds is None:
        return DEFAULT_LIFETIME
    return Seconds(max(SHORTEST_LIFETIME, min(seconds, LONGEST_LIFETIME)))


def _whole_seconds(value: object) -> int | None:
    """Read seconds in any form that servers use (600, 600.0, "599.5", "6e2"), rounded down; None if there are none.

    A readable number must not count as missing, because the default may be longer than the token lives.
    """
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return math.floor(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _refusal(reply: oauth.Reply) -> Outcome:
    body = oauth.json_object(reply.body)
    if body is None:
        return Outcome(Meaning.UNAVAILABLE, "not_routed", retry_after=_retry_after(reply))
    if reply.status == 404 and body.get("resultCode") == _UNKNOWN_CLIENT_RESULT:
        return Outcome(Meaning.CONFIG, UNKNOWN_CLIENT)
    error = body.get("error")
    if not isinstance(error, str):
        return Outcome(Meaning.UNAVAILABLE, "unrecognized")
    if error in _DEAD and reply.status in {400, 401}:
        return Outcome(Meaning.DEAD, error)
    if error in _CONFIG:
        return Outcome(Meaning.CONFIG, error)
    return Outcome(Meaning.UNAVAILABLE, "unrecognized")


def _retry_after(reply: oauth.Reply) -> Seconds | None:
    """Read delta-seconds, or a date relative to the answer's own, up to an hour; of a repeated header the longer wait.

    See RFC 9110 §5.3, §10.2.3.
    """
    text = reply.headers.get("retry-after", "")
    numbers = [_AFTER_SECONDS.sub("", each) for each in text.split(",")]
    named = [seconds for seconds in map(_whole_seconds, numbers) if seconds is not None and seconds >= 0]
    seconds = max(named) if named else _seconds_between(reply.headers.get("date", ""), text)
    return None if seconds is None else Seconds(min(seconds, LONGEST_WAIT))


def _seconds_between(answered: str, until: str) -> int | None:
    """Return the seconds between two HTTP dates of one server, so that this machine's clock does not matter."""
    try:
        away = (parsedate_to_datetime(until) - parsedate_to_datetime(answered)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no dates, or one with a time zone and one without
        return None
    return max(0, math.ceil(away))
