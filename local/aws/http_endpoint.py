"""AWS in memory, served over HTTP to other processes of this machine, such as the command line."""

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import WSGIApplication

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local.aws.account import AwsAccount

CLOCK = "/_local/clock"


def application(aws: AwsAccount) -> WSGIApplication:
    """Return the WSGI application for all AWS services, which uses the same memory and handles one call at a time."""
    dispatcher = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == CLOCK:  # not AWS's: so that the command line goes by the same time
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(aws.now()).encode()]
        with aws.lock:
            return [b"".join(dispatcher(environ, start_response))]

    return answer
