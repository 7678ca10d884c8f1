"""Proxies and certificates in the environment."""

import asyncio
from pathlib import Path

import certifi
import httpx
import pytest

from codegen_api import AsyncCodegenAPI, CodegenAPI, ConfigurationError
from codegen_api import run_task as run_without_a_client
from codegen_api._network import connect

REMOTE, LOCAL = "https://api.codegen.test", "http://127.0.0.1:4200"
PROXY = "http://127.0.0.1:3128"


@pytest.fixture(autouse=True)
def _no_network_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def proxy_of(base_url: str) -> str | None:
    """Return the proxy of the HTTP client for a server."""
    with connect(httpx.Client, base_url) as http:
        transport = http._transport_for_url(httpx.URL(base_url))
        assert isinstance(transport, httpx.HTTPTransport)
        url = getattr(transport._pool, "_proxy_url", None)
    return f"{url.scheme.decode()}://{url.host.decode()}:{url.port}" if url else None


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_remote_host_is_reached_through_the_proxy(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "127.0.0.1:3128")

    assert proxy_of(REMOTE) == PROXY


def test_the_proxy_of_the_scheme_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)

    assert proxy_of(REMOTE) == PROXY
    assert proxy_of("http://api.codegen.test") == "http://127.0.0.1:1"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost", "runs.localhost"])
def test_a_host_on_this_machine_needs_no_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://nowhere:port")

    assert proxy_of(f"http://{host}:4200") is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("codegen.test", "api.codegen.test", True),
        (".codegen.test", "api.codegen.test", True),
        ("*.codegen.test", "api.codegen.test", True),
        ("API.CODEGEN.TEST", "api.codegen.test", True),
        ("other.test, codegen.test", "codegen.test", True),
        ("*", "api.codegen.test", True),
        ("codegen.test:443", "codegen.test:443", True),
        ("codegen.test:8443", "codegen.test:443", False),
        ("gen.test", "codegen.test", False),
        ("", "codegen.test", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("fd07:b51a:cc66::/64", "[fd07:b51a:cc66::1]", True),
        ("localhost,127.0.0.1,[::1]", "codegen.test", False),
        ("[fd07::1]", "[fd07::1]", True),
        ("not a host,//,:", "codegen.test", False),
    ],
)
def test_no_proxy_names_hosts_addresses_and_networks(
    no_proxy: str, host: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert proxy_of(f"http://{host}") == (None if direct else PROXY)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("HTTPS_PROXY", "http://ada:secret@proxy:port", "is not the URL of a proxy"),
        ("https_proxy", "gopher://proxy:1", "is not the URL of a proxy"),
        ("ALL_PROXY", "http://[::1", "is not the URL of a proxy"),
        ("ALL_PROXY", "socks5://127.0.0.1:1080", r"needs another package: pip install 'httpx\[socks\]'"),
        ("SSL_CERT_FILE", "/gone.pem", r"cannot be used: /gone\.pem \(No such file"),
        ("SSL_CERT_DIR", "/gone", r"cannot be used: /gone \(not a folder\)"),
    ],
)
@pytest.mark.parametrize("face", [CodegenAPI, AsyncCodegenAPI])
def test_a_setting_that_cannot_be_used_is_an_error_that_names_its_variable(
    face: type[CodegenAPI] | type[AsyncCodegenAPI],
    variable: str,
    value: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"^{variable} .*{reason}") as refused:
        face(1, "token", REMOTE)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "no certificate"])
def test_a_file_without_certificates_is_refused(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE cannot be used: .*it has no certificates"):
        CodegenAPI(1, "token", REMOTE)


def test_certificates_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    CodegenAPI(1, "token", REMOTE).close()
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    CodegenAPI(1, "token", REMOTE).close()


def test_a_task_without_a_client_reads_the_same_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:port")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY"):
        run_without_a_client("Do it.", token="token", base_url=REMOTE)


def test_a_client_with_its_own_http_client_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    http = httpx.Client(trust_env=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:port")
    CodegenAPI(1, "token", REMOTE, http_client=http).close()
    http.close()


# --- event loops ----------------------------------------------------------------------------------------------------


class LoopTransport(httpx.AsyncBaseTransport):
    """A connection, which works in the loop of its first request only."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.loop = self.loop or asyncio.get_running_loop()
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("Event loop is closed")
        return httpx.Response(200, json={"items": [], "total": 3, "page": 1, "size": 1, "pages": 3})


async def total(api: AsyncCodegenAPI) -> int:
    return (await api.runs.list(limit=1)).total


def test_one_asynchronous_client_works_in_several_event_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx.AsyncClient, "_init_transport", lambda _client, **_options: LoopTransport())
    api = AsyncCodegenAPI(1, "token", LOCAL)

    assert [asyncio.run(total(api)) for _ in range(3)] == [3, 3, 3]


def test_an_http_client_of_another_event_loop_is_an_error_that_says_so() -> None:
    api = AsyncCodegenAPI(1, "token", LOCAL, http_client=httpx.AsyncClient(transport=LoopTransport()))
    asyncio.run(total(api))
    with pytest.raises(ConfigurationError, match="used in another event loop: create one in each loop"):
        asyncio.run(total(api))


def test_a_closed_client_says_so() -> None:
    api = CodegenAPI(1, "token", LOCAL)
    api.close()
    with pytest.raises(ConfigurationError, match="the client is closed"):
        api.runs.list()

    async def use_after_close() -> None:
        api = AsyncCodegenAPI(1, "token", LOCAL)
        await api.close()
        await api.runs.list()

    with pytest.raises(ConfigurationError, match="the client is closed"):
        asyncio.run(use_after_close())
