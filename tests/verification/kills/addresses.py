"""Where the process that is killed finds AWS and NinjaOne: two addresses of the process that is not."""

import re
import time
from collections.abc import Iterable
from random import Random
from threading import Condition
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import moto.core.models
from botocore.awsrequest import AWSPreparedRequest, HTTPHeaders
from werkzeug import Request, Response

from local.cloudformation.arns import REGION

STILL = 0.1
"""Seconds without a request after which nothing of a dead process is on its way any more."""
SETTLED, ROUNDS = 60.0, 1000

_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([a-z0-9-]+)/aws4_request")


class Traffic:
    """The requests of the process that is killed, to AWS and to NinjaOne alike."""

    def __init__(self) -> None:
        self._begun = self._open = 0
        self._changed = Condition()

    def through(self, app: WSGIApplication) -> WSGIApplication:
        """Count what an application is asked."""

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self._note(begun=1, opened=1)
            try:
                return app(environ, start_response)
            finally:
                self._note(begun=0, opened=-1)

        return answer

    def wait_for(self, requests: int, patience: float) -> None:
        """Wait until so many more requests were begun."""
        with self._changed:
            last = self._begun + requests
            if not self._changed.wait_for(lambda: self._begun >= last, patience):
                raise TimeoutError("the process does nothing")

    def settle(self) -> None:
        """Wait until all that was sent has been carried out: a request can outlive whoever sent it."""
        with self._changed:
            for _ in range(ROUNDS):
                if not self._changed.wait_for(lambda: not self._open, SETTLED):
                    break
                if not self._changed.wait(STILL):
                    return
        raise TimeoutError("requests do not end")

    def _note(self, *, begun: int, opened: int) -> None:
        with self._changed:
            self._begun += begun
            self._open += opened
            self._changed.notify_all()


def dawdling(app: WSGIApplication, random: Random, longest: float) -> WSGIApplication:
    """Let NinjaOne take its time: before it carries a request out, and before its answer leaves.

    Args:
        longest: seconds, each time
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        time.sleep(random.uniform(0, longest))
        answered = app(environ, start_response)
        time.sleep(random.uniform(0, longest))
        return answered

    return answer


@Request.application
def aws(request: Request) -> Response:
    """Answer a call of any AWS service out of the memory of this process; its signature says which service."""
    signed = _SIGNED_FOR.search(request.headers.get("Authorization", ""))
    if signed is None:
        return Response("not signed", 403)
    host = f"{signed[1]}.{REGION}.amazonaws.com"
    headers = HTTPHeaders()
    for name, value in request.headers.items():
        headers[name] = host if name == "Host" else value
    url = f"https://{host}{request.full_path.removesuffix('?')}"
    asked = AWSPreparedRequest(request.method, url, headers, request.get_data(), stream_output=False)
    answered = moto.core.models.botocore_stubber.process_request(asked)
    if answered is None:
        return Response("no such service", 404)
    status, said, body = answered
    return Response(body, status, dict(said))
