"""What can go wrong between NinjaOne and a client, queued for the next requests or until it is cleared."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ninjaone_emulator.message import Reply, nginx_page, oauth_json
from ninjaone_emulator.rejected import Rejected

Endpoint = Literal["authorize", "token", "revoke", "api", "page"]
ENDPOINTS: tuple[Endpoint, ...] = ("authorize", "token", "revoke", "api")

_UNAVAILABLE = "Sorry, the page you are looking for is currently unavailable. Please try again later."
_FAILURE = {"resultCode": "FAILURE", "errorMessage": "HTTP 500 Internal Server Error"}
_RATE_LIMIT = "Too many requests: the rate limit was exceeded."


@dataclass
class Fault:
    """One planned fault.

    Attributes:
        times: how many requests it meets; None until it is cleared
        host: only this host; None for all
        skip: how many requests it lets pass first
        seconds: the delay of `slow`, the Retry-After of `429_retry_after`
    """

    kind: str
    on: Endpoint = "token"
    times: int | None = 1
    host: str | None = None
    seconds: int = 30
    skip: int = 0


@dataclass(frozen=True)
class Kind:
    """How one kind of fault shows.

    Attributes:
        title, says: its name, and what is seen, in words
        processed: whether NinjaOne did its work before the fault struck
        apply: from the true answer (an empty one when nothing was done) to what is seen
    """

    title: str
    says: str
    processed: bool
    apply: Callable[[Reply, int], Reply]


def _slow(reply: Reply, seconds: int) -> Reply:
    return replace(reply, delay=reply.delay + seconds)


def _truncated(reply: Reply, _: int) -> Reply:
    return replace(reply, body=reply.body[: len(reply.body) // 2])


def _too_many(_: Reply, seconds: int) -> Reply:
    page = nginx_page(429)
    return replace(page, headers=(*page.headers, ("Retry-After", str(seconds))))


KINDS = {
    "html_404": Kind("404 with HTML", "nginx answers in place of NinjaOne.", False, lambda *_: nginx_page(404)),
    "html_502": Kind("502 with HTML", "nginx answers in place of NinjaOne.", False, lambda *_: nginx_page(502)),
    "html_503": Kind(
        "503 with HTML",
        "Where JSON should be, nginx says that the page is unavailable.",
        False,
        lambda *_: nginx_page(503, title="An error occurred.", text=_UNAVAILABLE),
    ),
    "html_200_rate_limit": Kind(
        "A rate limit as 200 with HTML",
        "Where JSON should be, a page says that there were too many requests.",
        False,
        lambda *_: nginx_page(200, title="Rate limit", text=_RATE_LIMIT),
    ),
    "429": Kind(
        "429 without Retry-After", "It throttles, and does not say for how long.", False, lambda *_: nginx_page(429)
    ),
    "429_retry_after": Kind("It throttles", "429, with a Retry-After in seconds.", False, _too_many),
    "500": Kind("It fails inside", "500 with a failure in JSON.", False, lambda *_: oauth_json(500, _FAILURE)),
    "spurious_dead_token": Kind(
        "It calls good tokens dead",
        "A replica that lags: 400 invalid_token.",
        False,
        lambda *_: oauth_json(400, {"error": "invalid_token"}),
    ),
    "reset": Kind(
        "NinjaOne is down",
        "The connection is cut off before anything was done.",
        False,
        lambda *_: Reply(0, delivery="reset"),
    ),
    "slow": Kind("It is slow", "It does its work at once, and answers some seconds later.", True, _slow),
    "lost_response": Kind(
        "Answers get lost",
        "It does its work, and the connection closes with nothing sent.",
        True,
        lambda reply, _: replace(reply, delivery="lost"),
    ),
    "truncated_json": Kind("Half an answer", "It does its work, and half of the answer arrives.", True, _truncated),
    "html_502_after_commit": Kind(
        "Done, and answered 502", "It does its work, and the proxy answers 502.", True, lambda *_: nginx_page(502)
    ),
}


class Faults:
    """The faults that are planned, oldest first."""

    def __init__(self) -> None:
        self.planned: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        """Add one."""
        self.planned.append(fault)

    def clear(self) -> None:
        """Forget them all."""
        self.planned.clear()

    def meet(self, on: Endpoint, host: str) -> Fault | None:
        """Find the fault that this request runs into, and count it."""
        for fault in self.planned:
            if fault.on == on and fault.host in {None, host} and self._strikes(fault):
                return fault
        return None

    def _strikes(self, fault: Fault) -> bool:
        """Count a request; return whether the fault let it pass."""
        if fault.skip:
            fault.skip -= 1
            return False
        self._count(fault)
        return True

    def _count(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times < 1:
                self.planned.remove(fault)


def read_fault(wanted: Mapping[str, Any], hosts: Container[str]) -> Fault:
    """Read a fault from JSON or a form.

    Raises:
        Rejected
    """
    fault = Fault(
        kind=str(wanted.get("fault", "")),
        on=wanted.get("on") or "token",
        times=_whole(wanted.get("times", 1)),
        host=wanted.get("host") or None,
        seconds=_whole(wanted.get("seconds", 30)) or 0,
        skip=_whole(wanted.get("skip", 0)) or 0,
    )
    checks = {
        "fault must be one of " + ", ".join(KINDS): fault.kind in KINDS,
        "on must be one of " + ", ".join(ENDPOINTS): fault.on in ENDPOINTS,
        "times must be a whole number from 1, or null until it is cleared": fault.times is None or fault.times > 0,
        "host is not one of the hosts": fault.host is None or fault.host in hosts,
        "seconds must be a whole number": fault.seconds >= 0,
        "skip must be a whole number": fault.skip >= 0,
        "a fault has only the fields fault, on, times, host, seconds, skip": wanted.keys()
        <= {"fault", "on", "times", "host", "seconds", "skip"},
    }
    if faults := [sentence for sentence, holds in checks.items() if not holds]:
        raise Rejected(*faults)
    return fault


def _whole(value: object) -> int | None:
    """Read a whole number; None when there is none, -1 when it is something else."""
    if value is None or value == "":
        return None
    text = str(value)
    return int(text) if text.isdecimal() and not isinstance(value, bool) else -1
