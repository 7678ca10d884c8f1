"""Which addresses a message may be sent to, decided when the connection is made.

A name is resolved once, all its addresses are checked, and the connection goes to a checked address. So a name that
resolves to another address a moment later leads nowhere. TLS still verifies the name.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, LiteralString
from urllib.parse import urlsplit

import httpcore

Resolve = Callable[[str, int], list[str]]

# IPv6 networks whose addresses contain an IPv4 address, and the bits to the right of it.
_EMBEDDING = (
    (ip_network("::ffff:0:0/96"), 0),  # IPv4-mapped
    (ip_network("::/96"), 0),  # IPv4-compatible
    (ip_network("64:ff9b::/96"), 0),  # NAT64
    (ip_network("64:ff9b:1::/48"), 0),  # NAT64 of a local network
    (ip_network("2002::/16"), 80),  # 6to4
)

# `is_global` of older versions of Python does not know all of these.
_RESERVED = tuple(
    ip_network(network)
    for network in (
        *("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        *("2001::/23", "fec0::/10"),
    )
)


class AddressRefused(Exception):  # noqa: N818 - what happened to the request
    """A host has an address that messages are not sent to."""


def is_public(address: str) -> bool:
    """Return whether an address belongs to a host on the internet: no private, shared, local or reserved one."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        for network, shift in _EMBEDDING:
            if parsed in network:
                return _is_global(IPv4Address((int(parsed) >> shift) & 0xFFFFFFFF))
    return _is_global(parsed)


def may_be_public(host: str) -> bool:
    """Return whether a host is an address on the internet, or a name that may have one."""
    try:
        return is_public(host)
    except ValueError:  # a name, which is checked when a connection is made
        name = host.rstrip(".")
        return "." in name and not name.endswith((".localhost", ".local", ".internal"))


def refused(url: str, *, private: bool = False) -> tuple[LiteralString, LiteralString] | None:
    """Return why nothing is sent to a URL, as a kind and a sentence; None if messages may be sent.

    Args:
        url: The URL.
        private: Whether hosts that are not public, and http, are allowed.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "https_url", "Input should be an https URL"
    if parts.scheme not in (("https", "http") if private else ("https",)) or not host or port == 0:
        return "https_url", "Input should be an https URL"
    if parts.username is not None or parts.fragment:
        return "https_url", "Input should be a URL without a user, a password and a fragment"
    if not private and not may_be_public(host):
        return "public_host", "Input should name a host on the internet"
    return None


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    if any(address in network for network in _RESERVED if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host. Raises `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedBackend(httpcore.NetworkBackend):
    """Connects to public addresses only.

    Args:
        allowed: Whether an address may be connected to.
        resolve: Finds the addresses of a host.
        backend: Makes the connections.
    """

    def __init__(
        self,
        allowed: Callable[[str], bool] = is_public,
        resolve: Resolve = resolve,
        backend: httpcore.NetworkBackend | None = None,
    ) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._backend = backend or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host. Raises `AddressRefused` if any of its addresses is not allowed."""
        try:
            addresses = self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"The host {host} has no address.") from error
        if not addresses or not all(map(self._allowed, addresses)):
            raise AddressRefused(f"The host {host} has an address that is not public.")
        return self._backend.connect_tcp(addresses[0], port, timeout, local_address, socket_options)
