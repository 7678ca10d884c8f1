"""A real HTTP proxy on loopback that counts what passes through it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import httpx

from local import loopback


class Proxy:
    """A running proxy.

    Attributes:
        url: Where it listens.
        requests: The method and the target of each request, such as `GET http://codegen.test/v1/users/me` or
            `CONNECT codegen.test:443`.
        hosts: Where the hosts are that it can reach, as base URLs. For any other it answers 502.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[str] = []
        self.hosts: dict[str, str] = {}


@contextmanager
def proxy() -> Iterator[Proxy]:
    """Run a proxy while the context lasts."""
    with ThreadingHTTPServer((loopback.HOST, 0), _Handler) as server:
        server.proxy = found = Proxy(loopback.url(server.socket))  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def _forward(self) -> None:
        found: Proxy = self.server.proxy  # type: ignore[attr-defined]
        found.requests.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        base_url = found.hosts.get(parts.netloc)
        if base_url is None:
            self.send_error(502)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        target = f"{base_url}{parts.path}?{parts.query}"
        answer = httpx.request(self.command, target, headers=headers, content=body, trust_env=False)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in ("content-length", "content-encoding", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_CONNECT = _forward  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Log nothing."""
