"""What every answer of a function must carry, and where it may send a browser: compared with constants."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from broker.config import Config
from local.browser import refresh_target

HEADERS = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
CLOSED = {"default-src": ["'none'"], "base-uri": ["'none'"], "frame-ancestors": ["'none'"], "object-src": ["'none'"]}
TYPES = {"text/html; charset=utf-8", "application/json; charset=utf-8", "application/problem+json; charset=utf-8"}
REGIONAL = ("app", "us2", "eu", "ca", "oc", "jp", "fed")

_SOURCE = re.compile(r"'none'|'self'|data:|'sha256-[A-Za-z0-9+/=]{44}'|https?://[A-Za-z0-9.*:/-]+")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_CLEAN = re.compile(r"/notice/[a-z-]{1,32}(\?reference=[A-Z2-7]{4}-[A-Z2-7]{4}(&return_to=[a-z0-9_-]{1,64})?)?")
_CONNECT_PAGE = re.compile(r"/connect/ses_[a-z2-7]{26}")


def policy(header: str) -> dict[str, list[str]]:
    """Take a Content-Security-Policy apart."""
    return {name: sources for name, *sources in (part.split() for part in header.split(";"))}


def header_faults(headers: Mapping[str, str], *, has_body: bool) -> Iterator[str]:
    """Name what is missing or wrong among the headers of one answer."""
    is_passed = headers.get("x-ninjaone-connect") == "passed"  # NinjaOne's own: it keeps its type and its ETag
    has_form = "form-action 'self'" in headers.get("content-security-policy", "")
    for name, value in (HEADERS | ({"referrer-policy": "same-origin"} if has_form else {})).items():
        if headers.get(name) != value:
            yield f"{name} is {headers.get(name)!r}"
    if has_body and headers.get("content-type") not in TYPES and not is_passed:
        yield f"content-type is {headers.get('content-type')!r}"
    unwanted = {"x-powered-by", "refresh", "set-cookie" if is_passed else "etag"}
    for name in headers:
        if name.startswith("access-control-") or name in unwanted:
            yield f"there is a header {name}"
    yield from policy_faults(headers.get("content-security-policy", ""))


def policy_faults(header: str) -> Iterator[str]:
    """Name what a policy leaves open."""
    held = policy(header) if header else {}
    for name, sources in CLOSED.items():
        if held.get(name) != sources:
            yield f"{name} is {held.get(name)}"
    if "script-src" in held:
        yield "there is a script-src"
    for name, sources in held.items():
        for source in sources:
            if not _SOURCE.fullmatch(source) or "unsafe" in source:
                yield f"{name} allows {source}"


def location_fault(location: str, config: Config) -> str:
    """Say what is wrong with where a browser is sent; empty when it is one of the four allowed places."""
    if any(ord(each) <= 32 or ord(each) > 126 for each in location):
        return "it holds a character that no address has"
    if _CLEAN.fullmatch(location) or _CONNECT_PAGE.fullmatch(location):
        return ""
    bare = location.partition("?")[0]
    if bare in config.return_urls.values():
        return ""
    parts = urlsplit(location)
    if parts.scheme == "https" and parts.path == "/ws/oauth/authorize" and not parts.fragment:
        return "" if is_ninjaone(parts.netloc, config.branded_suffixes) else f"a foreign host: {parts.netloc}"
    return f"an address that is not listed: {bare}"


def is_ninjaone(host: str, suffixes: Iterable[str]) -> bool:
    """Say whether a host (with nothing around it) is one that people may be sent to."""
    label, _, suffix = host.partition(".")
    regional = host in {f"{key}.ninjarmm.com" for key in REGIONAL}
    return regional or (suffix in suffixes and re.fullmatch(_LABEL, label) is not None)


def cookie_faults(cookies: Iterable[str]) -> Iterator[str]:
    """Name what is wrong with the cookies that an answer sets."""
    for line in cookies:
        value, *attributes = [part.strip() for part in line.split(";")]
        if not re.fullmatch(r"__Host-flow_[0-9a-f]{8}=[A-Za-z0-9_-]{0,43}", value):
            yield "a cookie is not ours"
        lives = [int(each.removeprefix("Max-Age=")) for each in attributes if re.fullmatch(r"Max-Age=[0-9]{1,4}", each)]
        rest = [each for each in attributes if not each.startswith("Max-Age=")]
        if sorted(rest) != ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"] or len(lives) != 1 or lives[0] > 1845:
            yield f"a cookie has {attributes}"


def faults(answer: Mapping[str, object], config: Config) -> list[str]:
    """Name everything wrong with what a function answers to API Gateway."""
    headers: Mapping[str, str] = answer.get("headers", {})  # type: ignore[assignment]  # the shape of payload 2.0
    cookies: list[str] = answer.get("cookies", [])  # type: ignore[assignment]  # the same
    found = [*header_faults(headers, has_body=bool(answer.get("body"))), *cookie_faults(cookies)]
    if target := refresh_target(str(answer.get("body", ""))):
        found += [f"refresh: {wrong}" for wrong in [location_fault(target, config)] if wrong]
    if "location" in headers:
        if answer["statusCode"] != 303:
            found.append(f"a redirect is a {answer['statusCode']}")
        if wrong := location_fault(headers["location"], config):
            found.append(f"location: {wrong}")
    elif answer["statusCode"] in range(300, 400):
        found.append("a redirect leads nowhere")
    return found
