"""Listen on 127.0.0.1, where every server of the local stack is and no other machine reaches it."""

from __future__ import annotations

import errno
import socket

HOST = "127.0.0.1"


class PortTakenError(OSError):
    """Another program listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(errno.EADDRINUSE, f"Port {port} of {HOST} is in use")
        self.port = port


def listen(port: int = 0) -> socket.socket:
    """Listen on a port, any free one for 0.

    Raises:
        PortTakenError: another program listens on the port.
    """
    # asyncio turns Nagle's algorithm off only for sockets that say they are TCP (`socket.create_server`'s do not); with
    # it on, every answer on a kept-alive connection waits 40 ms for the client's delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(port) from None
        raise
    return listening


def url(listening: socket.socket, scheme: str = "http") -> str:
    """Return the URL of the server that listens on a socket."""
    host, port = listening.getsockname()
    return f"{scheme}://{host}:{port}"
