"""The HTTP clients that a client of the API makes for itself."""

from ipaddress import ip_address

import httpx

DEFAULT_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)  # httpx's own


def blocking(
    base_url: str, transport: httpx.BaseTransport | None = None, limits: httpx.Limits = DEFAULT_LIMITS
) -> httpx.Client:
    """Make a blocking HTTP client. With a server on this machine, it uses no proxy of the environment."""
    # With a transport of its own, httpx does not read the proxies of the environment.
    if transport is None and is_loopback(base_url):
        transport = httpx.HTTPTransport(limits=limits)
    return httpx.Client(transport=transport, limits=limits)


def asynchronous(
    base_url: str, transport: httpx.AsyncBaseTransport | None = None, limits: httpx.Limits = DEFAULT_LIMITS
) -> httpx.AsyncClient:
    """Make an asynchronous HTTP client, as `blocking` does."""
    if transport is None and is_loopback(base_url):
        transport = httpx.AsyncHTTPTransport(limits=limits)
    return httpx.AsyncClient(transport=transport, limits=limits)


def is_loopback(base_url: str) -> bool:
    """Tell whether a URL names this machine."""
    host = httpx.URL(base_url).host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
