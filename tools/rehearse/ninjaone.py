"""NinjaOne, simulated, behind TLS: every host by its name, as the real one is reached."""

import os
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from ninjaone_emulator import NinjaOne
from tools.rehearse.authority import Authority

TOKEN_SECONDS = 120
"""How long an access token lives here: short, so that several refreshes fall into a rehearsal."""


class Simulated:
    """NinjaOne and the lock of its state; the server answers under it, and so must who looks."""

    def __init__(self) -> None:
        self.lock, self.core = Lock(), NinjaOne(time.time, os.urandom)
        self.core.switches.access_token_seconds = TOKEN_SECONDS

    @contextmanager
    def token_seconds(self, seconds: int) -> Iterator[None]:
        """Let access tokens live so long for a while."""
        before, self.core.switches.access_token_seconds = self.core.switches.access_token_seconds, seconds
        try:
            yield
        finally:
            self.core.switches.access_token_seconds = before

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        """Answer for the host that the request names."""
        with self.lock:
            reply = self.core.respond(
                request.method,
                request.host,
                request.path,
                headers=dict(request.headers),
                query=request.query_string.decode("latin-1"),
                body=request.get_data(),
            )
        return Response(reply.body, reply.status, list(reply.headers))


@contextmanager
def serve(simulated: Simulated, authority: Authority, port: int) -> Iterator[None]:
    """Serve it on 127.0.0.1 until the `with` block ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    server = make_server("127.0.0.1", port, simulated, threaded=True, ssl_context=context, request_handler=_Quiet)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    """No line for each request."""

    def log(self, *_: object) -> None:
        """Say nothing."""
