"""The connection pool of the process, and the wires that use it.

The first request opens the pool, which stays open while the function is warm. All services share one pool, because
creating its TLS context takes tens of milliseconds. httpx closes connections that are idle for 5 s, so a connection
that was lost while the function was frozen is not used again.

`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` have the same meaning as for the Codegen client, in capitals or
not. Each proxy has a pool of its own. A request to this machine never goes through a proxy, whatever they say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.request import getproxies_environment

import httpx


class Wire(httpx.BaseTransport):
    """The transport to one service: the connection pool, or its replacement in a test."""

    def __init__(self) -> None:
        self._replacements: list[httpx.BaseTransport] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises `httpx.TransportError`."""
        transport = self._replacements[-1] if self._replacements else _pool(_proxy_for(request.url))
        return transport.handle_request(request)

    @contextmanager
    def over(self, transport: httpx.BaseTransport) -> Iterator[None]:
        """Send every request over `transport` instead of the network while the block runs."""
        self._replacements.append(transport)
        try:
            yield
        finally:
            self._replacements.remove(transport)


@cache
def _pool(proxy: str | None) -> httpx.HTTPTransport:
    return httpx.HTTPTransport(verify=_tls(), proxy=proxy)


_tls = cache(httpx.create_ssl_context)
_proxies = cache(getproxies_environment)


def _proxy_for(url: httpx.URL) -> str | None:
    """Return the URL of the proxy for a request. Raises `httpx.UnsupportedProtocol`."""
    proxies = _proxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy:
        return None
    # Imported here, because hardly any deployment has a proxy.
    from codegen_api._network import is_direct

    if is_direct(url.host, url.port):
        return None
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        usable = httpx.URL(proxy).scheme in ("http", "https") and httpx.URL(proxy).host
    except httpx.InvalidURL:
        usable = False
    if not usable:  # not quoted: it may have a password
        raise httpx.UnsupportedProtocol("The proxy of the environment is no http or https URL.")
    return proxy
