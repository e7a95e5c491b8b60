"""/metrics, /healthz and /readyz of a process, on one small HTTP server."""

import logging
import threading
import time
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from consumers.runtime.announcement import Announcement
from schemas.errors import ConfigError
from schemas.metrics import READY
from schemas.settings import RuntimeSettings

log = logging.getLogger("portrait.health")

ALIVE_WITHIN_S = 240.0
"""A loop that has not turned for this long is taken for hung; longer than a commit that waits for a broker to come back."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Health:
    """Says whether the process lives (its loop turns) and is ready (joined, restored, reading)."""

    def __init__(self, settings: RuntimeSettings, role: str) -> None:
        self._settings = settings
        self._announcement = Announcement(settings, role)
        self._beat = time.monotonic()
        self._ready = False
        self._server: WSGIServer | None = None

    def start(self) -> None:
        """Serve from a thread of its own.

        Raises:
            ConfigError: the port is taken, or another process runs by this name.
        """
        self._announcement.claim()
        host, port = self._settings.http_host, self._settings.http_port
        try:
            self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_Quiet)
        except OSError as error:
            self._announcement.withdraw()
            raise ConfigError(
                f"cannot serve metrics on {host}:{port} ({error}): set PORTRAIT_RUNTIME__HTTP_PORT to a free port or 0"
            ) from error
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        log.info("metrics, healthz and readyz on http://%s:%d", host, self._server.server_port)
        self._announcement.publish(self._server.server_port)

    def stop(self) -> None:
        """Stop serving, and give the name free."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._announcement.withdraw()

    def beat(self) -> None:
        """The loop has turned."""
        self._beat = time.monotonic()

    def ready(self, ready: bool) -> None:
        """Whether the process does its work."""
        self._ready = ready
        READY.set(ready)

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
            return [generate_latest(REGISTRY)]
        silent_s = time.monotonic() - self._beat
        answers = {
            "/healthz": (silent_s < ALIVE_WITHIN_S, f"last turn of the loop {silent_s:.1f} s ago\n"),
            "/readyz": (self._ready, "ready\n" if self._ready else "not ready\n"),
        }
        ok, text = answers.get(str(path), (None, "try /metrics, /healthz or /readyz\n"))
        status = {True: "200 OK", False: "503 Service Unavailable", None: "404 Not Found"}[ok]
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode()]
