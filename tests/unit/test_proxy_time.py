"""What a proxied call does with its twenty-five seconds, and which answers count."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest

from broker import proxy_policy
from broker.adapters.http import CONNECT_TIMEOUT, HttpClient
from broker.adapters.log import Level, Log
from broker.errors import CallUnanswered, NotJson
from broker.flows.proxy import DEADLINE_SECONDS, MIN_SECONDS_TO_SEND, ProxiedCall, Proxy
from broker.flows.token import IssuedToken
from broker.model import ConnectionRef, Instant, Seconds
from broker.secret import Secret
from tests.support.broker_world import Clock, LogLines
from tests.support.full_rows import STATE

LAST = DEADLINE_SECONDS - CONNECT_TIMEOUT - MIN_SECONDS_TO_SEND
"""Seconds that may be gone when something is sent again."""
PAGE = b"<html>"


@dataclass
class Side:
    """The token and NinjaOne: what each answers, and how long that takes.

    Attributes:
        answers: (seconds, status), the last one for ever; status 0: none
        renewing: seconds until a newer token is there; None: never
    """

    clock: Clock
    answers: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 200)])
    renewing: float | None = 0.0
    body: bytes = b"{}"
    kind: str | None = "application/json"
    sent: list[httpx.Request] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    clients: int = 0

    def token(self, _: ConnectionRef, *, min_ttl: Seconds, refused_version: int = 0) -> IssuedToken:
        newer = 1
        if refused_version:
            self.refused.append(refused_version)
            self.clock.advance(self.renewing or 0.0)
            newer = 1 if self.renewing is None else 2
        return IssuedToken(Secret(f"token-{newer}"), Instant(9), Seconds(9), "https://eu.ninjarmm.com", newer)

    def web(self) -> HttpClient:
        self.clients += 1
        return HttpClient(lambda: httpx.MockTransport(self._answer), self.clock)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        seconds, status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.clock.advance(seconds)
        if not status:
            raise httpx.ReadError("reset")
        headers = {"content-type": self.kind} if self.kind else {}
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(self.body))


@pytest.fixture
def side(clock: Clock) -> Side:
    return Side(clock)


@pytest.fixture
def proxy(side: Side, clock: Clock, lines: LogLines) -> Proxy:
    rules = proxy_policy.read("* GET,POST /v2/*")
    log = Log(lines.write, clock, "local", least=Level.DEBUG)
    return Proxy(side.token, side.web, lambda: rules, clock=clock, log=log)  # type: ignore[arg-type]  # its call alone


def call(method: str = "GET", *, query: str = "", accept: str = "application/json") -> ProxiedCall:
    return ProxiedCall(
        caller="arn:aws:iam::123456789012:role/backend", method=method, rule_path="/v2/devices", target="/v2/devices",
        query=query, secure_values=False, repeatable=method == "GET", headers={"accept": accept}, body=b"",
    )  # fmt: skip


# Time -----------------------------------------------------------------------------------------------------------------


def test_an_answer_gets_what_is_left_once_there_is_a_connection(proxy: Proxy, side: Side) -> None:
    proxy(STATE.ref, call())

    assert side.sent[0].extensions["timeout"]["read"] == DEADLINE_SECONDS - CONNECT_TIMEOUT
    assert str(side.sent[0].url) == "https://eu.ninjarmm.com/v2/devices"


@pytest.mark.parametrize(("gone", "times"), [(LAST, 2), (LAST + 1, 1)])
def test_a_get_without_an_answer_is_sent_again_while_there_is_time_for_one(
    proxy: Proxy, side: Side, gone: int, times: int
) -> None:
    side.answers = [(gone, 0), (0, 0)]

    with pytest.raises(CallUnanswered):
        proxy(STATE.ref, call())
    assert len(side.sent) == times


@pytest.mark.parametrize(("gone", "times"), [(LAST, 2), (LAST + 1, 1)])
def test_a_refused_token_is_replaced_while_there_is_time_for_an_answer(
    proxy: Proxy, side: Side, gone: int, times: int
) -> None:
    side.answers = [(gone, 401), (0, 200)]

    assert proxy(STATE.ref, call("POST")).status == (200 if times == 2 else 401)
    assert (len(side.sent), side.refused) == (times, [1] * (times - 1))


@pytest.mark.parametrize(("renewing", "times"), [(LAST, 2), (LAST + 1, 1), (None, 1)])
def test_a_newer_token_that_comes_too_late_or_never_sends_nothing(
    proxy: Proxy, side: Side, renewing: float | None, times: int
) -> None:
    side.answers, side.renewing = [(0, 401), (0, 200)], renewing

    assert proxy(STATE.ref, call("POST")).status == (200 if times == 2 else 401)
    assert len(side.sent) == times


def test_only_what_may_be_sent_again_uses_a_connection_that_is_kept(proxy: Proxy, side: Side) -> None:
    for method in ("GET", "GET", "POST", "POST"):
        proxy(STATE.ref, call(method))

    assert side.clients == 3


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "passes"),
    [
        (101, False),
        (199, False),
        (200, True),
        (428, True),
        (429, True),
        (500, True),
        (599, True),
        (600, False),
        (999, False),
    ],
)
def test_which_statuses_can_be_passed_on(proxy: Proxy, side: Side, status: int, passes: bool) -> None:
    side.answers = [(0, status)]

    if passes:
        assert proxy(STATE.ref, call()).status == status
    else:
        with pytest.raises(CallUnanswered):
            proxy(STATE.ref, call())


@pytest.mark.parametrize(
    ("status", "kind", "accept", "passes"),
    [
        (200, "text/html", "application/json", False),
        (428, "text/html", "application/json", False),
        (429, "text/html", "application/json", True),
        (499, "text/html", "application/json", False),
        (500, "text/html", "application/json", True),
        (200, "text/html", "text/html", True),
        (200, None, "application/json", False),
        (200, "text/plain", "application/json", True),
    ],
)
def test_a_page_passes_where_its_status_says_enough_or_a_page_was_asked_for(
    proxy: Proxy, side: Side, status: int, kind: str | None, accept: str, passes: bool
) -> None:
    side.answers, side.kind, side.body = [(0, status)], kind, PAGE

    if passes:
        assert proxy(STATE.ref, call(accept=accept)).body == PAGE
    else:
        with pytest.raises(NotJson):
            proxy(STATE.ref, call(accept=accept))


# What is written down -------------------------------------------------------------------------------------------------


@pytest.fixture
def written(lines: LogLines) -> Callable[[], dict[str, object]]:
    return lambda: lines.named("proxy.called")[-1]


def test_a_line_says_how_long_a_call_took_and_names_an_error_only_where_there_was_one(
    proxy: Proxy, side: Side, written: Callable[[], dict[str, object]]
) -> None:
    side.answers = [(1.5, 200)]
    proxy(STATE.ref, call())
    assert (written()["milliseconds"], "error" in written()) == (1500, False)

    side.answers = [(2, 0)]
    with pytest.raises(CallUnanswered):
        proxy(STATE.ref, call("POST"))
    assert (written()["milliseconds"], written()["error"], written()["status"]) == (2000, "CallUnanswered", 0)
