"""The command line in this process: with the fake Codegen API, and with scripted responses of a deployment."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from codegen_api import CodegenAPI, RetryPolicy
from codegen_cli.root import commands
from codegen_cli.session import Session
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, ManualClock

Run = Callable[..., Result]
NAMES = ("API_TOKEN", "TOKEN", "ORG_ID", "BASE_URL", "TIMEOUT", "MAX_RETRIES")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home directory without settings, and an environment with those of the demo."""
    for name in NAMES:
        monkeypatch.delenv(f"CODEGEN_{name}", raising=False)
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODEGEN_ORG_ID", str(DEMO_ORG_ID))
    monkeypatch.setenv("CODEGEN_TOKEN", DEMO_TOKEN)
    return tmp_path


@pytest.fixture
def world() -> FakeCodegen:
    return FakeCodegen(clock=ManualClock())


def runner(transport: httpx.BaseTransport, sleep: Callable[[float], None], **more: Any) -> Run:
    """Return a function that runs a command with a transport."""

    def client(base_url: str | None = None, **settings: Any) -> CodegenAPI:
        settings = {"retry": RetryPolicy(max_retries=0), **settings, **more}
        return CodegenAPI(base_url=base_url or "http://codegen.test", transport=transport, **settings)

    def run(*line: str, charset: str = "utf-8", **options: Any) -> Result:
        session = Session(client, sleep)
        return CliRunner(charset=charset).invoke(commands, line, obj=session, prog_name="codegen-runs", **options)

    return run


@pytest.fixture
def run(world: FakeCodegen) -> Run:
    """A function that runs a command with the fake Codegen API."""
    return runner(FakeTransport(world), world.clock.advance)


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _stream: True, raising=False)


@pytest.fixture
def answers() -> list[Any]:
    return [{"service": "codegen-runs"}]


@pytest.fixture
def sent() -> list[tuple[str, str, Any]]:
    return []


@pytest.fixture
def at_deployment(answers: list[Any], sent: list[Any]) -> Iterator[Run]:
    """A function that runs a command with a deployment, which sends the `answers` in turn."""

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, json.loads(request.content) if request.content else None))
        body = answers.pop(0)
        return body if isinstance(body, httpx.Response) else httpx.Response(200, json=body)

    yield runner(httpx.MockTransport(answer), lambda _seconds: None)
    assert answers == []
