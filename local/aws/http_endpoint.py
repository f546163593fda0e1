"""AWS in memory, served over HTTP to other processes of this machine, such as the command line."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import WSGIApplication

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from local.aws.account import AwsAccount

CLOCK, LOG = "/_local/clock", "/_local/log"
"""Addresses that are not AWS's: what time it is, and which log lines of the functions name a reference."""


def application(aws: AwsAccount, log_lines: Callable[[], Sequence[str]] = tuple) -> WSGIApplication:
    """Return the WSGI application for all AWS services, which uses the same memory and handles one call at a time."""
    dispatcher = DomainDispatcherApplication(create_backend_app)
    ours: dict[str, Callable[[str], str]] = {
        CLOCK: lambda _query: str(aws.now()),  # so that the command line goes by the same time
        LOG: lambda query: json.dumps(_events(log_lines(), parse_qs(query).get("reference", ["\n"])[0], aws.now())),
    }

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if own := ours.get(environ["PATH_INFO"]):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [own(environ.get("QUERY_STRING", "")).encode()]
        with aws.lock:
            return [b"".join(dispatcher(environ, start_response))]

    return answer


def _events(lines: Sequence[str], reference: str, now: float) -> list[dict[str, Any]]:
    """Return the lines that name a reference as CloudWatch returns events: the text, and when, in milliseconds."""
    return [{"timestamp": _written_at(line, now), "message": line} for line in lines if reference in line]


def _written_at(line: str, now: float) -> int:
    """Read when a line was written; one that does not say so counts as written now."""
    said = json.loads(line).get("timestamp")
    return int(1000 * (datetime.fromisoformat(said).timestamp() if said else now))
