"""What the environment says about the network: proxies and certificates.

The HTTP library reads the same variables, but its errors name no variable, and it also reads proxies that are not
needed, for hosts on this machine and hosts that `NO_PROXY` names. A client of this package sends requests to one host,
so its proxy is known when it is made.
"""

import os
import ssl
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.request import getproxies

import httpx

from ._errors import ConfigurationError

C = TypeVar("C", httpx.Client, httpx.AsyncClient)


def connect(kind: Callable[..., C], base_url: str) -> C:
    """Make an HTTP client for one server.

    Raises:
        ConfigurationError: A variable of the environment cannot be used. The message names it.
    """
    _check_key_log()
    verify = _certificates()
    url = httpx.URL(base_url)
    name = None if is_direct(url.host, url.port) else _proxy_variable(url.scheme)
    if name is None:
        return kind(trust_env=False, verify=verify)
    try:
        return kind(trust_env=False, verify=verify, proxy=_proxy(name))
    except ImportError:
        raise ConfigurationError(
            f"{name} names a SOCKS proxy, which needs another package: pip install 'httpx[socks]'"
        ) from None
    except (ValueError, httpx.InvalidURL):  # Not quoted: a proxy's URL may have a password.
        raise ConfigurationError(f"{name} is not the URL of a proxy, such as http://127.0.0.1:3128") from None


def is_direct(host: str, port: int | None) -> bool:
    """Return whether a host is on this machine, or is reached without a proxy by the rules of `NO_PROXY`."""
    host = host.rstrip(".")
    address = _address(host)
    if host == "localhost" or host.endswith(".localhost") or (address and address.is_loopback):
        return True
    return any(_matches(entry.strip(), host, port) for entry in getproxies().get("no", "").split(","))


def _check_key_log() -> None:
    """Check the file that Python writes the keys of connections to, for debugging."""
    if file := os.environ.get("SSLKEYLOGFILE"):
        try:
            Path(file).open("a").close()
        except OSError as error:
            raise ConfigurationError(f"SSLKEYLOGFILE cannot be used: {file} ({error.strerror})") from None


def _certificates() -> ssl.SSLContext | bool:
    """Return the trusted certificates; True for those of the HTTP library."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file:
        try:
            return ssl.create_default_context(cafile=file)
        except (OSError, ssl.SSLError) as error:
            reason = "it has no certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigurationError(f"SSL_CERT_FILE cannot be used: {file} ({reason})") from None
    if folder:
        if not Path(folder).is_dir():
            raise ConfigurationError(f"SSL_CERT_DIR cannot be used: {folder} (not a folder)")
        return ssl.create_default_context(capath=folder)
    return True


def _proxy_variable(scheme: str) -> str | None:
    """Return the name of the variable that has the proxy of a scheme."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        if name.removesuffix("_proxy") in getproxies():
            return name if name in os.environ else name.upper()
    return None


def _proxy(name: str) -> str:
    proxy = getproxies()[name.lower().removesuffix("_proxy")].strip()
    return proxy if "://" in proxy else f"http://{proxy}"


def _matches(entry: str, host: str, port: int | None) -> bool:
    """Return whether an entry of `NO_PROXY` is about a host: a name with its subdomains, an address or a network."""
    if entry == "*":
        return True
    try:
        network = ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    else:
        address = _address(host)
        return address is not None and address.version == network.version and address in network
    name, colon, given = entry.rpartition(":")
    if colon and given.isdecimal():
        return port == int(given) and _matches(name, host, None)
    name = entry.lower().removeprefix("*").removeprefix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
