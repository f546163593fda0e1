"""NinjaOne through the broker: an httpx client whose requests are signed for AWS, and which never holds a token.

The broker marks NinjaOne's answers; any other answer is the broker's or API Gateway's own, and is raised as an error.
"""

from collections.abc import Generator, Mapping
from typing import Any, Never

import httpx

from ninjaone_connect.answers import Attempts
from ninjaone_connect.calls import Call
from ninjaone_connect.errors import NotTheBroker, WrongHost
from ninjaone_connect.signing import Signer

MARKER_HEADER = "x-ninjaone-connect"


def client(signer: Signer, call: Call[Never], options: Mapping[str, Any]) -> httpx.Client:
    """Make a client whose paths are NinjaOne's, below the path of a call."""
    hooks = {"response": [_RaiseUnlessNinjaOne(signer, call).sync]}
    return httpx.Client(
        base_url=signer.api_url + call.path, auth=_Signature(signer, call.path), event_hooks=hooks, **options
    )


def async_client(signer: Signer, call: Call[Never], options: Mapping[str, Any]) -> httpx.AsyncClient:
    """Make the same for asyncio."""
    hooks = {"response": [_RaiseUnlessNinjaOne(signer, call).asynchronous]}
    return httpx.AsyncClient(
        base_url=signer.api_url + call.path, auth=_Signature(signer, call.path), event_hooks=hooks, **options
    )


class _Signature(httpx.Auth):
    """Signs each request, with its body, for the broker's API and for no other host."""

    requires_request_body = True

    def __init__(self, signer: Signer, path: str) -> None:
        self._signer, self._path_prefix = signer, httpx.URL(signer.api_url + path).raw_path + b"/"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign. Raises WrongHost, NoCredentials or LoginExpired."""
        api = httpx.URL(self._signer.api_url)
        if (request.url.scheme, request.url.netloc) != (api.scheme, api.netloc):
            raise WrongHost(f"This client calls {self._signer.api_url}: give paths such as /v2/devices.")
        if not request.url.raw_path.startswith(self._path_prefix):  # dot segments lead to another connection
            raise WrongHost(
                "The path leads out of this connection: give one such as /v2/devices, without dot segments."
            )
        self._signer.add_to(request)
        yield request


class _RaiseUnlessNinjaOne:
    """Returns NinjaOne's answers, and raises all others as errors."""

    def __init__(self, signer: Signer, call: Call[Never]) -> None:
        self._signer, self._call = signer, call

    def sync(self, response: httpx.Response) -> None:
        if response.headers.get(MARKER_HEADER) != "passed":
            response.read()
            self._raise(response)

    async def asynchronous(self, response: httpx.Response) -> None:
        if response.headers.get(MARKER_HEADER) != "passed":
            await response.aread()
            self._raise(response)

    def _raise(self, response: httpx.Response) -> None:
        """Raise ConnectError if the answer is not NinjaOne's."""
        if response.status_code == 404 and response.headers.get("content-type") == "application/json":
            raise NotTheBroker(
                "The broker's API has no route for calls to NinjaOne. Its operator has to deploy with Proxy=on; or the "
                "path holds a `?` that was encoded."
            )
        Attempts(self._call, self._signer.api_url, self._signer.region, 0).judge(response)
