"""Ask the connection broker: signed HTTP, before there is a client library."""

import json
from typing import Any
from urllib.parse import quote

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

Json = dict[str, Any]


class Problem(Exception):
    """What a page has to tell a customer.

    Attributes:
        slug: the last part of the problem's ``type`` (RFC 9457)
        title, detail: the product's own words; empty where `words` has some for the slug or the status
    """

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.slug = str(body.get("type", "")).rpartition(":")[2]
        self.title = str(body.get("title") or "")
        self.detail = str(body.get("detail") or "")
        self.request_id = str(body.get("request_id", ""))
        self.retry_after: int | None = body.get("retry_after")
        super().__init__(f"{status} {self.slug}")


class Refused(Problem):
    """The broker refused. What it says is for the product's developers: for the log, and never for a page."""

    def __init__(self, status: int, said: Json) -> None:
        self.said = said
        shown = {"type", "request_id", "retry_after"}
        super().__init__(status, {name: value for name, value in said.items() if name in shown})


def ninjaone_problem(status: int | None) -> Problem:
    """Return what to say of an answer of NinjaOne's own; None means that there was none that can be read."""
    title = f"NinjaOne answered {status}" if status else "NinjaOne gave no answer that can be read"
    slug = "ninjaone-refused" if status and status < 500 else "ninjaone-fails"
    return Problem(502, {"type": f"urn:tidewater:{slug}", "title": title})


def path(tenant: str, *names: str) -> str:
    """Return a path of the tenant's: ids come out of browsers, and one with ``/../`` would lead to another tenant."""
    return "/v1/tenants/" + "/".join(quote(name, safe="") for name in (tenant, *names))


def read(answer: httpx.Response) -> Any:
    """Read the JSON of an answer; None if it is none, such as the page of a proxy in between."""
    try:
        return answer.json()
    except ValueError:
        return None


class Backend:
    """The broker's backend API, as one AWS identity."""

    def __init__(self, api_url: str, credentials: Credentials, aws_region: str = "eu-west-1") -> None:
        self._url = api_url
        self._signer = SigV4Auth(credentials, "execute-api", aws_region)
        # The broker's gateway gives up after 30 s. Plain http on loopback needs no certificates, slow to read.
        self._http = httpx.Client(timeout=35, trust_env=False, verify=False)

    def open_session(self, tenant: str, session_request: Json) -> Json:
        return self._call("POST", path(tenant, "connect-sessions"), session_request)

    def complete(self, tenant: str, session: str, fields: Json) -> Json:
        return self._call("POST", path(tenant, "connect-sessions", session, "complete"), fields)

    def connections(self, tenant: str) -> list[Json]:
        pages, cursor = [], ""
        for _ in range(20):
            page = self._call("GET", path(tenant, "connections") + f"?limit=100{cursor}")
            pages += page["connections"]
            if not page["cursor"]:
                break
            cursor = f"&cursor={quote(page['cursor'], safe='')}"
        return pages

    def connection(self, tenant: str, connection: str) -> Json:
        return self._call("GET", path(tenant, "connections", connection))

    def token(self, tenant: str, connection: str, **fields: int) -> Json:
        return self._call("POST", path(tenant, "connections", connection, "token"), fields)

    def through(self, tenant: str, connection: str, target: str, method: str = "GET") -> Any:
        """Call NinjaOne through the broker, where the token stays."""
        return self._call(method, path(tenant, "connections", connection, "ninjaone") + target)

    def approve(self, tenant: str, connection: str) -> Json:
        return self._call("POST", path(tenant, "connections", connection, "approve"), {})

    def disconnect(self, tenant: str, connection: str) -> Json:
        return self._call("DELETE", path(tenant, "connections", connection))

    def _call(self, method: str, target: str, body: Json | None = None) -> Json:
        content = b"" if body is None else json.dumps(body).encode()
        url = self._url + target
        signed = AWSRequest(method, url, {"Content-Type": "application/json"}, content)
        self._signer.add_auth(signed)
        try:
            answer = self._http.request(method, url, content=content, headers=dict(signed.headers))
        except httpx.HTTPError as error:
            raise Problem(503, {"title": "The connection service does not answer"}) from error
        said: Json | None = read(answer)
        if answer.headers.get("x-ninjaone-connect") == "passed":
            if answer.is_error or said is None:
                raise ninjaone_problem(answer.status_code if answer.is_error else None)
            return said
        if answer.is_error:
            raise Refused(answer.status_code, said if isinstance(said, dict) else {})
        if not isinstance(said, dict):
            raise Problem(503, {"title": "The connection service gives no answer that can be read"})
        return said
