"""One HTTP API of API Gateway on loopback: routes, authorizers, limits and errors as AWS has them."""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from local.aws.gateway import payload
from local.aws.gateway.sigv4 import Principal, Unsigned, may_invoke, verify
from local.aws.lambda_runtime import Failed, GaveUp, Runtime, Throttled, TooLarge
from local.cloudformation.arns import arn
from local.cloudformation.resources import Api, Route

CUT_OFF = 30
"""Seconds after which API Gateway stops waiting for a function. Not adjustable."""

_REWRITTEN = ("Location", "Content-Security-Policy")
_API_BASE = re.compile(rb'"api_base_url": ?"[ !#-~]*"')
_DRAINED = 4 * payload.BODY_LIMIT


class Refused(Exception):
    """API Gateway answers by itself; no function is called."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Gateway:
    """A WSGI application that answers for one API."""

    def __init__(
        self,
        api: Api,
        runtimes: Iterable[Runtime],
        principals: Iterable[Principal],
        *,
        rewrite: Callable[[str], str] = str,
        cut_off: float = CUT_OFF,
    ) -> None:
        """Collect the routes that lead to the functions.

        Args:
            rewrite: changes addresses in the Location, Content-Security-Policy, HTML and api_base_url of an answer
        """
        self._api, self._principals, self._rewrite = api, tuple(principals), rewrite
        self._cut_off = cut_off
        self._routes = [
            (route, runtime) for runtime in runtimes for route in runtime.function.routes if route.api == api.id
        ]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request, request_id = Request(environ), payload.request_id()
        try:
            answer = self._answer(request, request_id)
        except Refused as refusal:
            body = json.dumps({"message": refusal.message}, separators=(",", ":"))
            answer = Response(body, refusal.status, content_type="application/json")
        answer.headers["Apigw-Requestid"] = request_id
        return answer(environ, start_response)

    def _answer(self, request: Request, request_id: str) -> Response:
        arrived = _arrived(request)
        route, runtime, parameters = self._match(arrived)
        caller = self._caller(arrived) if route.signed else None
        event = payload.event(arrived, self._api, route, request_id=request_id, parameters=parameters, caller=caller)
        try:
            answer = payload.response(runtime.invoke(event, self._cut_off))
        except TooLarge as error:
            raise Refused(413, "Request Entity Too Large") from error
        except (Failed, ValueError) as error:
            raise Refused(500, "Internal Server Error") from error
        except (GaveUp, Throttled) as error:
            raise Refused(503, "Service Unavailable") from error
        for name in _REWRITTEN:
            if name in answer.headers:
                answer.headers[name] = self._rewrite(answer.headers[name])
        if answer.mimetype == "text/html":
            answer.set_data(self._rewrite(answer.get_data(as_text=True)))
        if answer.mimetype == "application/json":
            answer.set_data(_API_BASE.sub(lambda found: self._rewrite(found[0].decode()).encode(), answer.get_data()))
        return answer

    def _match(self, arrived: payload.HttpRequest) -> tuple[Route, Runtime, Mapping[str, str]]:
        """Choose the most specific route: literal before `{name}` before `{name+}` before `$default`."""
        fitting = []
        for route, runtime in self._routes:
            parameters = fit(route, arrived.method, arrived.path)
            if parameters is not None:
                fitting.append((route, runtime, parameters))
        if not fitting:
            raise Refused(404, "Not Found")
        return min(fitting, key=lambda found: _rank(found[0]))

    def _caller(self, arrived: payload.HttpRequest) -> Principal:
        try:
            caller = verify(arrived.signed(), self._principals, time.time())
        except Unsigned as error:
            raise Refused(403, "Forbidden") from error
        if not may_invoke(caller, arn("execute-api", f"{self._api.id}/$default/{arrived.method}{arrived.path}")):
            raise Refused(403, "Forbidden")
        return caller


def _arrived(request: Request) -> payload.HttpRequest:
    try:
        arrived = payload.HttpRequest.of(request)
    except RequestEntityTooLarge as error:
        request.environ["wsgi.input"].read(min(_DRAINED, request.content_length or 0))
        raise Refused(413, "Request Entity Too Large") from error
    if arrived.head_size > payload.HEAD_LIMIT:
        raise Refused(431, "Request Header Fields Too Large")
    return arrived


def fit(route: Route, method: str, path: str) -> dict[str, str] | None:
    """Return the path parameters if the route takes this request, else None."""
    if route.method not in {"ANY", method}:
        return None
    if route.path == "$default":
        return {}
    found = re.fullmatch(_pattern(route.path), path, re.DOTALL)
    return found.groupdict() if found else None


def _pattern(path: str) -> str:
    """Turn `/notes/{note}` into a regular expression; `{rest+}` takes slashes too."""
    greedy = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(path))
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", greedy)


def _rank(route: Route) -> tuple[Any, ...]:
    kinds = [2 if "+}" in segment else 1 if "{" in segment else 0 for segment in route.path.split("/")]
    return route.path == "$default", max(kinds) == 2, kinds, route.method == "ANY"
