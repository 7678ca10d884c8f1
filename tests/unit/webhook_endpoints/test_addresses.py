"""Messages go to public addresses only, and to the address that was checked."""

from typing import Any

import httpcore
import pytest

from codegen_runs.webhook_endpoints.addresses import AddressRefused, CheckedBackend, is_public

NOT_PUBLIC = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.170.2", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
    *("::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "ff02::1", "2001:db8::1", "fec0::1"),
    # IPv6 addresses that contain an IPv4 address
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::a9fe:a9fe"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
    *("2001:0:7f00:1::", "2001::1"),
]
PUBLIC = ["8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_on_the_internet_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_allowed(address: str) -> None:
    assert is_public(address)


class Connections(httpcore.NetworkBackend):
    """Notes to which addresses connections would be made."""

    def __init__(self) -> None:
        self.to: list[str] = []

    def connect_tcp(self, host: str, port: int, *rest: Any) -> Any:
        self.to.append(host)
        raise httpcore.ConnectError


class Names:
    """Resolves a name to other addresses each time."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = iter(answers)

    def __call__(self, host: str, port: int) -> list[str]:
        return next(self._answers)


def connect(names: Names) -> Connections:
    connections = Connections()
    with pytest.raises(httpcore.ConnectError):
        CheckedBackend(resolve=names, backend=connections).connect_tcp("hooks.example", 443)
    return connections


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """The name is resolved once: a second answer, which could be another one, is never asked for."""
    assert connect(Names(["8.8.8.8"], ["127.0.0.1"])).to == ["8.8.8.8"]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], []])
def test_a_name_with_an_address_that_is_not_public_is_refused_before_a_connection(addresses: list[str]) -> None:
    connections = Connections()

    with pytest.raises(AddressRefused, match="hooks"):
        CheckedBackend(resolve=Names(addresses), backend=connections).connect_tcp("hooks.example", 443)
    assert connections.to == []


def test_a_name_without_an_address_is_a_failed_connection() -> None:
    def resolve(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(httpcore.ConnectError, match="nowhere"):
        CheckedBackend(resolve=resolve).connect_tcp("nowhere.example", 443)
