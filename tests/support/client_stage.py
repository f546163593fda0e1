"""What the client is tested with: a broker's API that is a function, and NinjaOne that is another."""

import json
from collections import Counter
from threading import Lock
from typing import Any

import httpx
from botocore.credentials import Credentials

from ninjaone_connect import AsyncConnect, Connect

API = "https://b4ck3nd.execute-api.eu-west-1.amazonaws.com"
NINJAONE = "https://eu.ninjarmm.com"
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
CON = "con_" + "a" * 26
PROBLEM = "urn:ninjaone-connect:problem:"

CONNECTION: dict[str, Any] = {
    "connection_id": CON,
    "tenant_id": "northwind",
    "status": "active",
    "reason": None,
    "region": "eu",
    "host": "eu.ninjarmm.com",
    "api_base_url": NINJAONE,
    "client": "operator",
    "client_id": "kR4tWq8ZVn2bYp",
    "label": "Main account",
    "scopes": ["monitoring", "offline_access"],
    "organizations": [{"id": 1, "name": "Hafen Nord"}],
    "metadata": {},
    "created_at": 1_800_000_000,
    "connected_at": 1_800_000_000,
    "token_expires_at": 1_800_003_600,
    "refresh_at": 1_800_001_900,
    "consent_ends_at": None,
    "probably_same_as": None,
    "version": 1,
}


def problem(slug: str, status: int, **more: Any) -> httpx.Response:
    """Answer with problem details."""
    body = {"type": PROBLEM + slug, "title": slug, "status": status, "detail": f"About {slug}.", "request_id": "r1"}
    return httpx.Response(status, json=body | more, headers={"content-type": "application/problem+json"})


class Api:
    """The broker's API: answers in turn, the last one for ever; an exception is raised instead of answering."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def connect(self, patience: float = 10) -> Connect:
        return Connect(API, credentials=KEYS, max_wait=patience, transport=httpx.MockTransport(self))

    def async_connect(self, patience: float = 10) -> AsyncConnect:
        return AsyncConnect(API, credentials=KEYS, max_wait=patience, transport=httpx.MockTransport(self))


class Tokens:
    """The token route of the broker, and NinjaOne beside it, which takes the tokens of ``good`` alone.

    Args:
        lasts: seconds that each token lasts
        fresh: every fetch gives a new token; otherwise it is the same one
    """

    def __init__(self, *, lasts: int = 3600, fresh: bool = True) -> None:
        self.lasts, self.fresh = lasts, fresh
        self.fetched: list[dict[str, Any]] = []
        self.seen: Counter[str] = Counter()
        self.good: set[str] | None = None
        self.lock = Lock()

    def token(self, request: httpx.Request) -> httpx.Response:
        """Give a token."""
        with self.lock:
            self.fetched.append(json.loads(request.content))
            version = len(self.fetched) if self.fresh else 1
            name = f"secret-token-{version}"
        body = {"access_token": name, "token_type": "Bearer", "expires_at": 0, "expires_in": self.lasts}
        body["version"] = version
        return httpx.Response(200, json=body | {"api_base_url": NINJAONE})

    def ninjaone(self, request: httpx.Request) -> httpx.Response:
        """Take a call, if the token is good."""
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        with self.lock:
            self.seen[bearer] += 1
            taken = self.good is None or bearer in self.good
        return httpx.Response(200 if taken else 401, json=[], request=request)
