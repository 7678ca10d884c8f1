"""Every command that calls an operation, against a running stack: it succeeds, and it calls that operation."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from codegen_api import CodegenAPI
from codegen_cli.root import commands
from codegen_cli.session import Session
from local.stack import Stack
from tests.support.commands import COMMANDS
from tests.support.sources import ROOT

DOCUMENT = json.loads((ROOT / "openapi.json").read_text("utf-8"))
PATTERNS = [
    (method.upper(), re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))), operation["operationId"])
    # A path without parameters is no path of another operation.
    for path, methods in sorted(DOCUMENT["paths"].items(), key=lambda each: each[0].count("{"))
    for method, operation in methods.items()
    if isinstance(operation, dict) and "operationId" in operation
]


class _Noting(httpx.HTTPTransport):
    def __init__(self, note: Callable[[httpx.Request], None]) -> None:
        super().__init__()
        self._note = note

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._note(request)
        return super().handle_request(request)


class Terminal:
    """Runs commands in this process, and notes the operations that they call."""

    def __init__(self, stack: Stack) -> None:
        self._url = stack.api_url
        self._base_path = httpx.URL(stack.api_url).path.rstrip("/")
        self.called: set[str] = set()
        """The operations that the last command called."""
        self.reached: dict[str, set[str]] = {}
        """The operations that each command called."""

    def __call__(self, line: str, *arguments: str, field: str | None = None, input: str | None = None) -> Any:  # noqa: A002
        """Run a command, and return its output, or a field of its JSON."""
        self.called = set()
        words = [*line.split(), *arguments, *(["--json"] if field else [])]
        done = CliRunner().invoke(commands, words, obj=Session(self._client), input=input)
        assert done.exit_code == 0, f"{words}: {done.output}"
        self.reached.setdefault(line, set()).update(self.called)
        return (
            json.loads(done.stdout.splitlines()[0] if "list" in line else done.stdout)[field] if field else done.stdout
        )

    def _client(self, base_url: str | None = None, **settings: Any) -> CodegenAPI:
        return CodegenAPI(base_url=self._url, transport=_Noting(self._note), **settings)

    def _note(self, request: httpx.Request) -> None:
        path = request.url.path.removeprefix(self._base_path)
        self.called |= {
            next(
                (name for method, pattern, name in PATTERNS if method == request.method and pattern.fullmatch(path)),
                f"{request.method} {path}",
            )
        }


@pytest.fixture
def terminal(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("API_TOKEN", "TOKEN", "ORG_ID", "BASE_URL"):
        monkeypatch.delenv(f"CODEGEN_{name}", raising=False)
    return Terminal(stack)


@pytest.mark.full
def test_each_command_calls_its_operation(terminal: Terminal) -> None:
    terminal("auth login", "--local")
    terminal("auth status")

    terminal("run start", "Explain it. [[fake seconds=5 steps=3]]")
    run = str(terminal("run list", field="id"))
    terminal("run view", run)
    terminal("run watch", run)
    terminal("run logs", run)
    terminal("run follow-up", run, "And test it. [[fake seconds=5 steps=3]]")
    terminal("star add", run, "--note", "Good.")
    terminal("star list")
    terminal("star remove", run)

    endless = terminal("run start", "--detach", "Fix it. [[fake ending=NEVER pull_request=true seconds=1]]").strip()
    terminal("run pause", endless)
    terminal("run resume", endless)
    terminal("run watch", run)
    terminal("run cancel", endless, "--allow-pr-ban")

    checkpoint = terminal("checkpoint list", run, field="id")
    terminal("checkpoint create", run, "--description", "Before the rewrite")
    terminal("checkpoint view", checkpoint)
    terminal("checkpoint restore", checkpoint, "--detach", "--prompt", "Again. [[fake seconds=1]]")
    terminal("checkpoint fork", checkpoint, "--detach", "--prompt", "Otherwise. [[fake seconds=1]]")
    terminal("checkpoint lineage", checkpoint)

    endless = terminal("multi-run start", "Explain it. [[fake ending=NEVER]]", "-n", "2", "--detach").strip()
    terminal("multi-run pause", endless)
    terminal("multi-run resume", endless)
    terminal("multi-run estimate", "Explain it.", "-n", "2")
    terminal("multi-run add", endless, "--prompt", "Explain it shortly. [[fake seconds=1]]")
    terminal("multi-run drop", endless, "2", "--reason", "It went astray.")
    terminal("multi-run cancel", endless)

    several = terminal("multi-run start", "Explain it. [[fake seconds=5]]", "-n", "2", "--detach").strip()
    terminal("multi-run watch", several)
    terminal("multi-run estimate", "Explain it.", "--variant", "model=claude-sonnet", "--variant", "agent_type=codegen")
    terminal("multi-run events", several)
    terminal("multi-run list")
    terminal("multi-run view", several)
    terminal("multi-run compare", several)
    terminal("multi-run pick", several, "2", "--reason", "It is short.")
    terminal("multi-run unpick", several)
    terminal("multi-run resynthesize", several, "1", "2", "--prompt", "Answer in one sentence.")
    failing = "Explain it. [[fake ending=FAILED seconds=1 nth=1]]"
    repaired = terminal("multi-run start", failing, "-n", "2", "--detach").strip()
    terminal("multi-run watch", repaired)
    terminal("multi-run retry", repaired)

    terminal("agent create", "Reviewer", "--id", "terminal_reviewer", "--system-prompt", "You review code.")
    terminal("agent edit", "terminal_reviewer", "--description", "Reviews code.")
    terminal("agent list")
    terminal("agent view", "terminal_reviewer")
    terminal("agent versions", "terminal_reviewer")
    terminal("chat send", "terminal_reviewer", "Hello! [[fake seconds=1]]")
    terminal("chat list")
    terminal("agent delete", "terminal_reviewer")

    token = terminal("token create", "Dashboard", "--role", "viewer", field="id")
    terminal("token list")
    terminal("token revoke", token)

    terminal("webhook set", "https://hooks.example/runs")
    terminal("webhook view")
    terminal("webhook test")
    terminal("webhook delete")

    terminal("doorbell on")
    terminal("doorbell view")
    terminal("doorbell off")

    endpoint = terminal("webhook-endpoint create", "https://hooks.example/runs", field="id")
    terminal("webhook-endpoint list")
    terminal("webhook-endpoint view", endpoint)
    terminal("webhook-endpoint edit", endpoint, "--description", "Build room", "--event", "run.failed")
    terminal("webhook-endpoint rotate-secret", endpoint)
    terminal("webhook-endpoint send", endpoint)
    terminal("webhook-endpoint deliveries", endpoint)
    terminal("webhook-endpoint delete", endpoint)

    member = json.loads(terminal("member list", "--json").splitlines()[-1])
    terminal("member set-role", str(member["id"]), member["role"])
    terminal("repo list")
    terminal("model list")
    terminal("limits")
    terminal("usage")
    terminal("budget set", "--organization", "runs_per_day=1000", "--caller", "concurrent_runs=50")
    terminal("budget view")
    terminal("budget set")
    newest, *_ = terminal("audit list", "--act", "budgets.set", "--json").splitlines()
    assert json.loads(newest)["outcome"] == "succeeded"
    assert json.loads(terminal("audit verify", "--json", "intact")) == {"intact": True}
    assert json.loads(terminal("limits", "--json", "queue"))["queue"]["length"] >= 0

    missed = {name: line for name, line in COMMANDS.items() if name not in terminal.reached.get(line, ())}
    assert missed == {}
