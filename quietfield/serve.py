"""The platform's HTTP interface: `GET /health` when the model is loaded, `POST /invoke` for each job.

Requests are answered by threads; the work itself is done one job after the other in the main thread, so that a stop
from outside reaches it there and nothing half written stays.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

log = logging.getLogger(__name__)

PORT = 4743
CHUNK = 1 << 16  # bytes


@dataclass
class Answer:
    """What became of a request.

    Attributes
    ----------
    status : int
        Of HTTP: 201 when all was done.
    content : dict
        Sent as JSON.
    """

    status: int
    content: dict[str, Any]


@dataclass
class _Request:
    answer: Answer | None = None
    done: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    requests: queue.Queue[_Request]

    def do_GET(self) -> None:
        if self.path.split("?")[0] == "/health":
            self._send(Answer(HTTPStatus.OK, {"status": "healthy"}))
        else:
            self._send(Answer(HTTPStatus.NOT_FOUND, {"error": "expected GET /health or POST /invoke"}))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.close_connection = True
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            self._send(Answer(HTTPStatus.BAD_REQUEST, {"error": f"expected a Content-Length, found {length!r}"}))
            return
        # The job lies in the input folder: what a body says is of no use.
        for left in range(int(length), 0, -CHUNK):
            self.rfile.read(min(left, CHUNK))
        if self.path.split("?")[0] != "/invoke":
            self._send(Answer(HTTPStatus.NOT_FOUND, {"error": "expected GET /health or POST /invoke"}))
            return
        request = _Request()
        self.requests.put(request)
        request.done.wait()
        self._send(request.answer or Answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "stopped"}))

    def _send(self, answer: Answer) -> None:
        body = json.dumps(answer.content).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        try:
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except OSError as error:
            log.warning("%s did not wait for the answer: %s", self.address_string(), error)

    def log_message(self, format: str, *arguments: object) -> None:
        log.info("%s %s", self.address_string(), format % arguments)


def serve(work: Callable[[], Answer], port: int = PORT, ready: Callable[[int], None] = lambda port: None) -> None:
    """Answer requests until the process is stopped.

    Parameters
    ----------
    work : callable
        Does what lies in the input folder; called in this thread, once for each `POST /invoke`.
    port : int
        Where to listen, on all addresses; 0 takes a free one.
    ready : callable
        Told the port as soon as requests are answered.

    Raises
    ------
    OSError
        If the port is taken.
    """
    requests: queue.Queue[_Request] = queue.Queue()
    handler = type("Handler", (_Handler,), {"requests": requests})
    with ThreadingHTTPServer(("", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        log.info("listening on port %d: GET /health, POST /invoke", server.server_port)
        ready(server.server_port)
        request = None
        try:
            while True:
                request = requests.get()
                try:
                    request.answer = work()
                except Exception as error:  # the next job is still to be done
                    log.exception("failed in a way not foreseen")
                    request.answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": repr(error)})
                request.done.set()
        finally:
            if request:
                request.done.set()
            server.shutdown()
