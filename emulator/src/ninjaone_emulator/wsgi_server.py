"""Serve a WSGI application on loopback, in a thread, until it is closed."""

import os
import socket
import struct
from collections.abc import Iterable
from threading import Thread
from types import TracebackType
from typing import NoReturn, Self
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.serving import WSGIRequestHandler, make_server

LOOPBACK = "127.0.0.1"


class Server:
    """A running server; leaving its `with` block closes it."""

    def __init__(self, app: WSGIApplication, port: int) -> None:
        with socket.create_server((LOOPBACK, port)) as listener:
            self._server = make_server(
                LOOPBACK, port, _collected(app), threaded=True, request_handler=_Quiet, fd=listener.fileno()
            )
        self.url = f"http://{LOOPBACK}:{self._server.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting, and give the port back. Answers still being delayed are abandoned."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DeferredApp:
    """The application of a server that listens before the application exists; until then it answers 503."""

    app: WSGIApplication | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self.app is None:
            start_response("503 Service Unavailable", [("Content-Length", "0")])
            return [b""]
        return self.app(environ, start_response)


def serve(app: WSGIApplication, port: int = 0) -> Server:
    """Start `app` on 127.0.0.1.

    Args:
        port: 0 takes a free one

    Raises:
        OSError when the port is taken
    """
    return Server(app, port)


def _collected(app: WSGIApplication) -> WSGIApplication:
    """Close what an application answers with before it is sent: werkzeug forgets to where the browser goes away."""

    def collect(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = app(environ, start_response)
        try:
            return [b"".join(answer)]
        finally:
            if close := getattr(answer, "close", None):
                close()

    return collect


def hang_up(connection: socket.socket | None, *, reset: bool) -> NoReturn:
    """Close the connection of the request being answered, with nothing sent.

    Args:
        connection: the WSGI environment's `werkzeug.socket`; None under a test client
        reset: the caller sees a connection reset instead of an orderly end
    """
    if connection is not None:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
    raise ConnectionAbortedError("the connection was closed on purpose")


class _Quiet(WSGIRequestHandler):
    """One request per connection, no line for each, and no Server header but the application's."""

    disable_nagle_algorithm = True

    def connection_dropped(self, error: BaseException, environ: WSGIEnvironment | None = None) -> None:  # noqa: ARG002
        """Close a connection that was dropped on purpose, without an error."""
        self.close_connection = True

    def send_response(self, code: int, message: str | None = None) -> None:
        self.send_response_only(code, message)
        self.send_header("Date", self.date_time_string())
