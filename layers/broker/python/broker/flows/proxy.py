"""Forward a caller's request to NinjaOne, with a token that the caller never sees.

A call is sent once, with two exceptions. After a 401 it is sent once more with another token, because NinjaOne did
nothing. A GET without an answer is sent once more while there is time. A 429 and a 5xx are for the caller to handle.
A GET with a cursor is not repeated: NinjaOne advances the cursor with each page, so the caller would get the page after
the lost one without knowing (docs/understand/ninjaone.md §12).

Only a call that may be repeated uses a connection that an earlier call left open. The other end may have closed it
meanwhile, and if a request on it gets no answer, nobody can tell whether it was carried out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from broker.adapters.clock import Clock
from broker.adapters.http import CONNECT_TIMEOUT, HttpClient, Outgoing
from broker.adapters.http_client_pool import HttpClientPool
from broker.adapters.log import Log
from broker.errors import BrokerError, CallRefused, CallUnanswered, NotJson, ProviderDown, TooLarge
from broker.flows.token import GetToken, IssuedToken
from broker.model import ConnectionRef, Seconds
from broker.oauth import Answer, NotSent, Reply
from broker.proxy_policy import CallRule
from broker.secret import Secret

DEADLINE_SECONDS = Seconds(25)
"""Seconds for the whole call: API Gateway gives up after 30."""
MIN_SECONDS_TO_SEND = Seconds(2)
"""Seconds that an answer may take; with less left, nothing is sent again."""
MIN_TTL = Seconds(30)
"""Seconds for which the token must be valid, so that it outlasts its call."""
MAX_BODY_BYTES = 4 * 1024 * 1024
"""Bytes of a body in either direction: Lambda accepts events of 6 MB, in which a body is encoded in base64."""

MASK = "[token]"

_PAGES = {"text/html", "application/xhtml+xml"}
_COUNTERS = {
    0: "proxied_unanswered",
    2: "proxied_2xx",
    3: "proxied_3xx",
    4: "proxied_4xx",
    5: "proxied_5xx",
}


@dataclass(frozen=True)
class ProxiedCall:
    """A call that a backend wants forwarded.

    Attributes:
        rule_path: the decoded path, beginning with ``/v2/``, that the rules are applied to
        target: the same path, encoded, as it is sent
        secure_values: whether the query asks NinjaOne to show secrets
        repeatable: whether it only reads, and NinjaOne would answer it the same way again
    """

    caller: str
    method: str
    rule_path: str
    target: str
    query: str
    secure_values: bool
    repeatable: bool
    headers: Mapping[str, str]
    body: bytes


ProxiedAnswer = Reply


class Proxy:
    """Forwards calls. Its role has no privilege that the role of ``GetToken`` has not."""

    def __init__(
        self,
        get_token: GetToken,
        web: Callable[[], HttpClient],
        rules: Callable[[], tuple[CallRule, ...]],
        *,
        clock: Clock,
        log: Log,
    ) -> None:
        self._get_token, self._web, self._rules = get_token, web, rules
        self._kept = HttpClientPool(web, clock)
        self._clock, self._log = clock, log

    def __call__(self, ref: ConnectionRef, call: ProxiedCall) -> ProxiedAnswer:
        """Forward a call, and log it in one line.

        Raises:
            CallRefused, TooLarge, CallUnanswered, NotJson, ProviderDown
            BrokerError: what GetToken or reading the rules raises
        """
        began = self._clock.now()
        try:
            self._check(call)
            answer = self._call(ref, call, began + DEADLINE_SECONDS)
        except BrokerError as error:
            self._audit(call, began, error=type(error).__name__)
            raise
        self._audit(call, began, status=answer.status, size=len(answer.body))
        return answer

    def _check(self, call: ProxiedCall) -> None:
        """Check the rules. Raises CallRefused, which names those that apply to the caller."""
        rules = [rule for rule in self._rules() if rule.is_for(call.caller)]
        if not any(rule.allows(call.method, call.rule_path, secure_values=call.secure_values) for rule in rules):
            raise CallRefused(*map(str, rules))

    def _call(self, ref: ConnectionRef, call: ProxiedCall, until: float) -> Reply:
        issued = self._get_token(ref, min_ttl=MIN_TTL)
        answer = self._send(ref, call, issued, until)
        if isinstance(answer, Reply) and answer.status == 401 and self._seconds_left(until) >= MIN_SECONDS_TO_SEND:
            newer = self._get_token(ref, min_ttl=MIN_TTL, refused_version=issued.version)
            if newer.version != issued.version and self._seconds_left(until) >= MIN_SECONDS_TO_SEND:
                answer = self._send(ref, call, newer, until)
        return _checked_answer(answer, call)

    def _send(self, ref: ConnectionRef, call: ProxiedCall, issued: IssuedToken, until: float) -> Answer:
        """Send a call; if it may be repeated and got no answer, send it once more while there is time."""
        request = _outgoing(call, issued)
        with self._kept.client(ref) if call.repeatable else self._web() as web:
            answer = web.send(request, timeout=self._seconds_left(until), limit=MAX_BODY_BYTES)
            if call.repeatable and not isinstance(answer, Reply) and self._seconds_left(until) >= MIN_SECONDS_TO_SEND:
                answer = web.send(request, timeout=self._seconds_left(until), limit=MAX_BODY_BYTES)
        return _mask(issued.access, answer)

    def _seconds_left(self, until: float) -> Seconds:
        """Return how many seconds an answer may take, once there is a connection."""
        return Seconds(int(until - self._clock.now() - CONNECT_TIMEOUT))

    def _audit(self, call: ProxiedCall, began: float, *, status: int = 0, size: int = 0, error: str = "") -> None:
        """Log who called what, and the outcome; without the query, which may hold a customer's names and filters."""
        self._log.count(_COUNTERS[status // 100])
        self._log.event(
            "proxy.called",
            method=call.method,
            path=call.target,
            status=status,
            milliseconds=round(1000 * (self._clock.now() - began)),
            bytes=size,
            error=error or None,
        )


def _outgoing(call: ProxiedCall, issued: IssuedToken) -> Outgoing:
    url = issued.api_base_url + call.target + (f"?{call.query}" if call.query else "")
    bearer = {"authorization": f"Bearer {issued.access.reveal()}"}  # RFC 6750 §2.1
    return Outgoing(call.method, url, {**call.headers, **bearer}, call.body)


def _mask(token: Secret, answer: Answer) -> Answer:
    """Mask the token in the answer: some servers quote an invalid token."""
    if not isinstance(answer, Reply):
        return answer
    quoted = token.reveal()
    headers = {name: value.replace(quoted, MASK) for name, value in answer.headers.items()}
    return replace(answer, headers=headers, body=answer.body.replace(quoted.encode(), MASK.encode()))


def _checked_answer(answer: Answer, call: ProxiedCall) -> Reply:
    """Return an answer that can be forwarded. Raises ProviderDown, CallUnanswered, TooLarge or NotJson otherwise."""
    if isinstance(answer, NotSent):
        raise ProviderDown
    if not isinstance(answer, Reply) or not 200 <= answer.status <= 599:  # API Gateway returns no other status
        raise CallUnanswered
    if len(answer.body) > MAX_BODY_BYTES:
        raise TooLarge
    is_failure = answer.status == 429 or answer.status >= 500
    if _is_page(answer) and not is_failure and "text/html" not in call.headers.get("accept", ""):
        raise NotJson(answer.status)
    return answer


def _is_page(answer: Reply) -> bool:
    """Return whether an answer is an HTML page, also if it is labelled JSON or not at all; a download is not."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    start = answer.body[:100].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if kind.endswith("json"):  # application/problem+json too
        return start.startswith(b"<")
    return kind in _PAGES or (not kind and start.startswith((b"<!doctype html", b"<html")))
