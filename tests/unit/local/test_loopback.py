"""Listening on loopback."""

import socket

import pytest

from local import loopback


def test_a_free_port_is_found_and_the_url_names_it() -> None:
    with loopback.listen() as listening:
        port = listening.getsockname()[1]

        assert port > 0
        assert loopback.url(listening) == f"http://127.0.0.1:{port}"
        assert loopback.url(listening, "ws") == f"ws://127.0.0.1:{port}"
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_port_in_use_is_named_in_the_error() -> None:
    with loopback.listen() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(loopback.PortTakenError, match=f"Port {port} of 127.0.0.1 is in use") as error:
            loopback.listen(port)

    assert error.value.port == port


def test_answers_are_sent_without_nagles_delay() -> None:
    """asyncio turns Nagle's algorithm off only for sockets of protocol TCP."""
    with loopback.listen() as listening:
        assert listening.proto == socket.IPPROTO_TCP
