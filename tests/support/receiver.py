"""A receiver of webhooks on loopback."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any

SECONDS = 180
"""How long a test waits for a message."""


class Receiver:
    """A server on loopback. It answers the first try of each message with `first`, the others with 204."""

    def __init__(self, first: int) -> None:
        seen: set[str] = set()
        received: Queue[tuple[str, dict[str, str]]] = Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self.send_response(204 if self.headers["webhook-id"] in seen else first)
                seen.add(self.headers["webhook-id"])
                self.send_header("content-length", "0")
                self.end_headers()
                received.put((body, {name.lower(): value for name, value in self.headers.items()}))

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._received = received
        self.url = f"http://127.0.0.1:{self._server.server_port}/runs"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self) -> tuple[str, dict[str, str]]:
        return self._received.get(timeout=SECONDS)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
