"""AWS in memory, spoken to over HTTP: for other processes of this machine, such as the command line."""

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import WSGIApplication

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local.aws.account import AwsAccount

CLOCK = "/_local/clock"


def application(aws: AwsAccount) -> WSGIApplication:
    """Make the WSGI application that answers for every AWS service, out of the same memory, one call at a time."""
    dispatcher = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == CLOCK:  # not AWS's: so that the command line goes by the same time
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(aws.now()).encode()]
        with aws.lock:
            return [b"".join(dispatcher(environ, start_response))]

    return answer
