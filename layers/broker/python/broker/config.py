"""The operator's settings: one frozen value, read from the environment's mapping."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from broker import ninjaone, proxy_policy
from broker.errors import Misconfigured
from broker.model import Seconds
from broker.proxy_policy import CallRule


def _list_of(item: str) -> str:
    return f"{item}( *, *{item})*"


_KEY = "[A-Za-z0-9._-]{1,40}"
_REGION = f"({'|'.join(ninjaone.REGIONS)})"
_ADDRESS = (
    r"(https://[A-Za-z0-9.-]{1,253}|http://127\.0\.0\.1)(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~!$&()*+;=:@%/-]*[A-Za-z0-9._~!$&()*+;=:@%-])?"
)
"""https anywhere, and http on loopback only (RFC 8252 §7.3); no slash at the end, no query, no fragment."""

_CLIENT = f"{_REGION}=[!-+.-~-]{{1,128}}"
_SUFFIX = r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){1,3}"

# template.yaml's parameters hold the same patterns, so that CloudFormation refuses what every function would refuse at
# its start. They are written as Java and Python both read them.
_NAME = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]{1,80}"
)  # the characters that text.py calls unsafe
_RETURN_URLS = re.compile(rf"(?!(.*, *)?({_KEY})=.*, *\2=)" + _list_of(f"{_KEY}={_ADDRESS}"))
_CLIENT_IDS = re.compile(rf"((?!(.*, *)?({_REGION})=.*, *\3=){_list_of(_CLIENT)})?")
_SUFFIXES = re.compile(rf"({_list_of(_SUFFIX)})?")
_SUPPORT = re.compile(r"(|[!#-&(-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,190}|https://[!#-&(-;=?-~]{1,250})")
_LOGO = re.compile(r"(data:image/(png|svg\+xml|webp);base64,[A-Za-z0-9+/=]+)?")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_SCOPES = re.compile("({0})( ({0}))*".format("|".join(ninjaone.SCOPES)))
_DIGESTS = re.compile(r"([0-9a-f]{64}(,[0-9a-f]{64})?)?")
_SSM_NAME = re.compile(r"(/[A-Za-z0-9_.-]{1,100}){0,8}")
_WEB_ADDRESS = re.compile(_ADDRESS)
_TIMEOUT = re.compile(r"[0-9]{1,3}", re.ASCII)
_SERVICE = "ninjaone-connect"

T = TypeVar("T")


MAX_LINK_DAYS = 7
"""The longest that a link may stay valid which somebody else is to open."""


@dataclass(frozen=True)
class Config:
    """The settings of every function; template.yaml's Globals names the same ones, and a test compares them.

    Attributes:
        service: the stack's name, which distinguishes the log lines and metrics of deployments in one account
        verbose: whether successes are logged too: on Lambda only if the function's log level says so
        connect_url: the address of the public API; set for the function that opens sessions, which store it, and for
            the one that receives forms if the address has a domain of the operator's
        origin_verify: SHA-256 digests; a public request must bring the header X-Origin-Verify of one of them, unless
            there are none
        client_ids: region key → the operator's client app there; a region may be missing
        return_urls: return key → where a person is sent back to
        scopes: the most that a connect session may request; ``offline_access`` is always added
        refresh_timeout: seconds the refresh function may run; every bound of the refresh follows from it
        approval_link_days: for how many days a link may work whose connection is approved afterwards
        token_wait: seconds that a token request may wait for a refresh; each that waits occupies an execution
        proxy_policy: which calls of NinjaOne may be forwarded; set for the proxy's function only
        proxy_policy_parameter: the SSM parameter that holds such rules instead of ``proxy_policy``; empty: none
    """

    service: str
    verbose: bool
    connect_url: str
    connections_table: str
    due_index: str
    sessions_table: str
    seal_key: str
    client_secrets: str
    epoch_parameter: str
    refresh_queue: str
    urgent_queue: str
    completion_queue: str
    rescue_bucket: str
    event_bus: str
    origin_verify: tuple[str, ...]
    client_ids: Mapping[str, str]
    return_urls: Mapping[str, str]
    scopes: frozenset[str]
    branded_suffixes: tuple[str, ...]
    product_name: str
    support: str
    accent: str
    logo: str
    approval_binding: bool
    approval_link_days: int
    adaptive: bool
    refresh_timeout: Seconds
    token_wait: Seconds
    proxy_policy: tuple[CallRule, ...]
    proxy_policy_parameter: str

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Config":
        """Read every setting. Raises Misconfigured, which names all that are missing or malformed at once."""
        reader = _Reader(env)
        config = cls(
            service=env.get("POWERTOOLS_SERVICE_NAME", _SERVICE),
            verbose=env.get("AWS_LAMBDA_LOG_LEVEL", "DEBUG") in {"DEBUG", "TRACE"},
            connect_url=reader.take("CONNECT_URL", _web_address) if "CONNECT_URL" in env else "",
            connections_table=reader.take("CONNECTIONS_TABLE", _text),
            due_index=reader.take("DUE_INDEX", _text),
            sessions_table=reader.take("SESSIONS_TABLE", _text),
            seal_key=reader.take("SEAL_KEY", _text),
            client_secrets=reader.take("CLIENT_SECRETS", _text),
            epoch_parameter=reader.take("EPOCH_PARAMETER", _text),
            refresh_queue=reader.take("REFRESH_QUEUE", _text),
            urgent_queue=reader.take("URGENT_QUEUE", _text),
            completion_queue=reader.take("COMPLETION_QUEUE", _text),
            rescue_bucket=reader.take("RESCUE_BUCKET", _text),
            event_bus=reader.take("EVENT_BUS", _text),
            origin_verify=reader.take(
                "ORIGIN_VERIFY", _listed(_DIGESTS, "at most two SHA-256 digests in lower-case hex")
            ),
            client_ids=reader.take("CLIENT_IDS", _client_ids),
            return_urls=reader.take("RETURN_URLS", _return_urls),
            scopes=reader.take("SCOPES", _scopes),
            branded_suffixes=reader.take(
                "BRANDED_SUFFIXES", _listed(_SUFFIXES, "domain suffixes such as rmmservice.eu")
            ),
            product_name=reader.take("PRODUCT_NAME", _product_name),
            support=reader.take("SUPPORT", _matching(_SUPPORT, "a mail address or an https address, or empty")),
            accent=reader.take("ACCENT", _matching(_COLOUR, "a colour such as #0b5fff")),
            logo=reader.take("LOGO", _matching(_LOGO, "a data:image/… address in base64, or empty")),
            approval_binding=reader.take("APPROVAL_BINDING", _one_of("allowed", "refused")) == "allowed",
            approval_link_days=reader.take("APPROVAL_LINK_LIFE", _link_days) if "APPROVAL_LINK_LIFE" in env else 1,
            adaptive=reader.take("REFRESH_POLICY", _one_of("always", "adaptive")) == "adaptive",
            refresh_timeout=reader.take("REFRESH_TIMEOUT", _seconds(150, 900)),
            token_wait=reader.take("TOKEN_WAIT", _seconds(1, 20)),
            proxy_policy=reader.take("PROXY_POLICY", _call_rules) if "PROXY_POLICY" in env else (),
            proxy_policy_parameter=(
                reader.take(
                    "PROXY_POLICY_PARAMETER", _matching(_SSM_NAME, "a name such as /connect/proxy-policy, or empty")
                )
                if "PROXY_POLICY_PARAMETER" in env
                else ""
            ),
        )
        reader.finish()
        return config


class _Reader:
    """Reads settings one by one and collects what is wrong with them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._faults: list[str] = []

    def take(self, name: str, parse: Callable[[str], T]) -> T:
        value = self._env.get(name)
        if value is None:
            self._faults.append(f"{name} is missing")
            return cast(T, None)  # never used: finish() raises
        try:
            return parse(value)
        except ValueError as fault:
            self._faults.append(f"{name} must be {fault}")
            return cast(T, None)

    def finish(self) -> None:
        if self._faults:
            raise Misconfigured("Settings to correct: " + "; ".join(self._faults) + ".")


def _text(value: str) -> str:
    if not value:
        raise ValueError("a name, not empty")
    return value


def _matching(pattern: re.Pattern[str], wanted: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(wanted)
        return value

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    return _matching(re.compile("|".join(map(re.escape, words))), " or ".join(words))


_web_address = _matching(_WEB_ADDRESS, "an https address without a slash at its end, query or fragment")


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item]


def _pairs(pattern: re.Pattern[str], wanted: str) -> Callable[[str], Mapping[str, str]]:
    """Read ``key=value,key=value``; each key once."""
    whole = _matching(pattern, wanted)
    return lambda value: dict(item.split("=", 1) for item in _items(whole(value)))


def _listed(pattern: re.Pattern[str], wanted: str) -> Callable[[str], tuple[str, ...]]:
    whole = _matching(pattern, f"{wanted}, separated by commas")
    return lambda value: tuple(_items(whole(value)))


_client_ids = _pairs(
    _CLIENT_IDS, "pairs region=client_id, separated by commas, each region once out of " + ", ".join(ninjaone.REGIONS)
)
_return_urls = _pairs(
    _RETURN_URLS,
    "pairs key=https address, separated by commas, each key once, no slash at an address's end, no query",
)
_product_name = _matching(_NAME, "1 to 80 printable characters")
_scope_text = _matching(_SCOPES, "one or more out of " + ", ".join(ninjaone.SCOPES) + ", separated by spaces")


ASKED: Mapping[str, Callable[[str], object]] = {
    "ProductName": _product_name,
    "ReturnUrls": _return_urls,
    "ClientIds": _client_ids,
}
"""Parameters of the template that a command asks for → their parsers, which raise ValueError with what is expected."""


def _scopes(value: str) -> frozenset[str]:
    return ninjaone.scope_set(_scope_text(value))


def _call_rules(value: str) -> tuple[CallRule, ...]:
    return proxy_policy.read(_matching(proxy_policy.PATTERN, proxy_policy.WANTED)(value))


def _link_days(value: str) -> int:
    if not re.fullmatch(f"[1-{MAX_LINK_DAYS}]", value):
        raise ValueError(f"a number of days from 1 to {MAX_LINK_DAYS}")
    return int(value)


def _seconds(least: int, most: int) -> Callable[[str], Seconds]:
    def read(value: str) -> Seconds:
        if not _TIMEOUT.fullmatch(value) or not least <= int(value) <= most:
            raise ValueError(f"a number of seconds from {least} to {most}")
        return Seconds(int(value))

    return read
