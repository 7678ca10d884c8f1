"""Which requests go through a proxy: those of the functions, and those of the client."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from functools import cache

import httpx
import pytest

from codegen_api import APIConnectionError, AsyncCodegenAPI, CodegenAPI, run_task
from codegen_runs import wire
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, serve
from tests.support.proxy import Proxy, proxy

Send = Callable[[str], int]


@pytest.fixture(scope="module")
def _proxy() -> Iterator[Proxy]:
    with proxy() as found, serve(FakeCodegen(pace=0)) as fake:
        found.hosts["codegen.test"] = fake
        yield found


@pytest.fixture
def passing(_proxy: Proxy) -> Proxy:
    """A proxy that reaches one host."""
    _proxy.requests.clear()
    return _proxy


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy at all, and a wire that reads the environment again."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    pools: list[httpx.HTTPTransport] = []

    def pool(url: str | None) -> httpx.HTTPTransport:
        pools.append(httpx.HTTPTransport(verify=wire._tls(), proxy=url))
        return pools[-1]

    monkeypatch.setattr(wire, "_pool", cache(pool))
    wire._proxies.cache_clear()
    yield
    wire._proxies.cache_clear()
    for each in pools:
        each.close()


@pytest.fixture
def send() -> Send:
    """Send a request as the functions do, and return the status."""

    def send(url: str) -> int:
        with httpx.Client(transport=wire.Wire()) as client:
            return client.get(url, headers={"Authorization": f"Bearer {DEMO_TOKEN}"}).status_code

    return send


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_request_of_a_function_goes_through_the_proxy(
    send: Send, passing: Proxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, passing.url)

    assert send("http://codegen.test/v1/users/me") == 200
    assert passing.requests == ["GET http://codegen.test/v1/users/me"]


def test_a_proxy_may_be_named_without_a_scheme(send: Send, passing: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", passing.url.removeprefix("http://"))

    assert send("http://codegen.test/v1/users/me") == 200


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_a_request_with_tls_goes_through_a_tunnel(
    send: Send, passing: Proxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, passing.url)

    with pytest.raises(httpx.ProxyError):
        send("https://api.codegen.test/v1/users/me")
    assert passing.requests == ["CONNECT api.codegen.test:443"]


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize("value", ["other.test, codegen.invalid", ".invalid", "*", "codegen.invalid:8080"])
def test_a_host_of_no_proxy_is_reached_directly(
    send: Send, passing: Proxy, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", passing.url)
    monkeypatch.setenv(name, value)

    with pytest.raises(httpx.ConnectError):  # the host does not exist
        send("http://codegen.invalid:8080/")
    assert passing.requests == []


@pytest.mark.parametrize("value", ["192.0.2.0/24", "2001:db8::/32,192.0.2.7"])
def test_no_proxy_may_name_a_network(passing: Proxy, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", passing.url)
    monkeypatch.setenv("NO_PROXY", value)

    assert wire._proxy_for(httpx.URL("http://192.0.2.7:8080/v1")) is None
    assert wire._proxy_for(httpx.URL("http://192.0.3.7:8080/v1")) == passing.url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "localhost.", "api.localhost"])
def test_loopback_is_reached_directly_whatever_the_environment_says(
    passing: Proxy, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, passing.url)
    monkeypatch.setenv("NO_PROXY", "elsewhere.test")

    assert wire._proxy_for(httpx.URL(f"http://{host}:3000/v1")) is None
    assert wire._proxy_for(httpx.URL("http://[::1]:3000/v1")) is None
    assert wire._proxy_for(httpx.URL("http://127.0.0.1.codegen.test/v1")) == passing.url


def test_a_request_of_a_function_to_loopback_passes_no_proxy(
    send: Send, passing: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", passing.url)

    assert send(f"{passing.hosts['codegen.test']}/v1/users/me") == 200
    assert passing.requests == []


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:1080", "socks4://127.0.0.1", "http://me@nowhere:port", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_refused_in_a_sentence(
    send: Send, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", value)

    with pytest.raises(httpx.UnsupportedProtocol, match=r"^The proxy of the environment is no http or https URL\.$"):
        send("http://codegen.test/")


@pytest.fixture
def options(passing: Proxy, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Options of a client of a server on loopback, in an environment with proxies that cannot be used."""
    monkeypatch.setenv("HTTP_PROXY", passing.url)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    return {"org_id": DEMO_ORG_ID, "token": DEMO_TOKEN, "base_url": passing.hosts["codegen.test"]}


def test_the_client_reaches_loopback_directly(options: dict[str, object], passing: Proxy) -> None:
    with CodegenAPI(**options) as api:  # type: ignore[arg-type]
        assert api.users.get_current_user().id == 789
    assert run_task("Explain it.", **options).refresh().is_successful()  # type: ignore[arg-type]

    assert passing.requests == []


def test_the_asynchronous_client_reaches_loopback_directly(options: dict[str, object], passing: Proxy) -> None:
    async def script() -> int:
        async with AsyncCodegenAPI(**options) as api:  # type: ignore[arg-type]
            user = await api.users.get_current_user()
            return int(user.id)

    assert asyncio.run(script()) == 789
    assert passing.requests == []


def test_the_client_reaches_other_hosts_through_the_proxy(passing: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", passing.url)

    with CodegenAPI(token=DEMO_TOKEN, base_url="http://codegen.test") as api:
        assert api.users.get_current_user().id == 789
    assert passing.requests == ["GET http://codegen.test/v1/users/me"]


def test_a_proxy_that_does_not_answer_is_a_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    with (
        CodegenAPI(token=DEMO_TOKEN, base_url="http://codegen.test", deadline=1) as api,
        pytest.raises(APIConnectionError),
    ):
        api.users.get_current_user()
