"""NinjaOne over HTTP: every host under its own path, and the control page beside them."""

import time
from collections.abc import Callable
from threading import Lock

from flask import Flask, Response, request

from ninjaone_emulator.control import control
from ninjaone_emulator.control_panel import ControlPanel
from ninjaone_emulator.message import Reply
from ninjaone_emulator.server import NinjaOne
from ninjaone_emulator.wsgi_server import hang_up


def create_app(core: NinjaOne, sleep: Callable[[float], None] = time.sleep) -> Flask:
    """Serve a NinjaOne: eu.ninjarmm.com answers under /eu.ninjarmm.com/, and so on."""
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True  # a connection closed on purpose must reach the server
    lock = Lock()
    app.register_blueprint(control(ControlPanel(core), lock))

    @app.route("/<host>/", defaults={"path": ""}, methods=["GET", "POST"])
    @app.route("/<host>/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def ninjaone(host: str, path: str) -> Response:
        with lock:
            reply = core.respond(
                request.method,
                host,
                f"/{path}",
                headers=dict(request.headers),
                query=request.query_string.decode("latin-1"),
                body=request.get_data(),
                base=f"{request.host_url}{host}",
            )
        return _deliver(reply, sleep)

    return app


def _deliver(reply: Reply, sleep: Callable[[float], None]) -> Response:
    """Send an answer when its time has come, or close the connection instead."""
    if reply.delay:
        sleep(reply.delay)
    if reply.delivery != "sent":
        hang_up(request.environ.get("werkzeug.socket"), reset=reply.delivery == "reset")
    return Response(reply.body, reply.status, list(reply.headers))
