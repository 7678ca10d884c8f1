"""The bridge through which containers of `sam local` reach the stack."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from anyio.from_thread import start_blocking_portal

from local.bridge import bridge

# The bridge is for Docker on Linux, and only on Linux all of 127.0.0.0/8 is loopback.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bridge is for Docker on Linux")

OTHER_ADDRESS = "127.0.0.2"


class Shout(StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


@contextmanager
def bridged(port: int) -> Iterator[None]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(bridge([port], OTHER_ADDRESS)):
        yield


def ask(port: int) -> bytes:
    with socket.create_connection((OTHER_ADDRESS, port), timeout=10) as connection, connection.makefile("rwb") as file:
        file.write(b"hello\n")
        file.flush()
        return file.readline()


def test_connections_reach_the_same_port_of_loopback() -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), Shout) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        try:
            with bridged(port):
                answers = [ask(port) for _ in range(3)]
        finally:
            server.shutdown()

    assert answers == [b"HELLO\n"] * 3


def test_a_connection_ends_if_no_program_listens_on_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with bridged(port):
        assert ask(port) == b""
