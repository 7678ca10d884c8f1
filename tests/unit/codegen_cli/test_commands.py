"""The command line with the fake Codegen API, and with scripted responses of a deployment."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

import codegen_cli.commands
from codegen_api import CodegenAPI, RetryPolicy
from codegen_cli.commands import commands
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, ManualClock, Trouble

Run = Callable[..., Result]
NAMES = ("API_TOKEN", "TOKEN", "ORG_ID", "BASE_URL", "TIMEOUT", "MAX_RETRIES")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"CODEGEN_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODEGEN_ORG_ID", str(DEMO_ORG_ID))
    monkeypatch.setenv("CODEGEN_TOKEN", DEMO_TOKEN)


def runner(monkeypatch: pytest.MonkeyPatch, transport: httpx.BaseTransport, sleep: Callable[[float], None]) -> Run:
    """Return a function that runs a command with a transport."""

    def client(org_id: str | None, *, base_url: str | None) -> CodegenAPI:
        return CodegenAPI(
            org_id,
            base_url=base_url or "http://codegen.test",
            transport=transport,
            sleep=sleep,
            retry=RetryPolicy(max_retries=0),
        )

    monkeypatch.setattr(codegen_cli.commands, "CodegenAPI", client)
    return lambda *line, **options: CliRunner().invoke(commands, line, **options)


@pytest.fixture
def world() -> FakeCodegen:
    return FakeCodegen(clock=ManualClock())


@pytest.fixture
def at_codegen(world: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> Run:
    return runner(monkeypatch, FakeTransport(world), world.clock.advance)


QUICK = "Explain it. [[fake seconds=20 steps=4 result='It is **simple**.']]"


def test_run_shows_the_steps_and_prints_the_answer(at_codegen: Run) -> None:
    done = at_codegen("run", QUICK)

    assert done.exit_code == 0, done.output
    assert done.stdout == "It is **simple**.\n", "standard output must have the answer only"
    assert "user_input" in done.stderr
    assert done.stderr.rstrip().endswith("completed")


def test_a_terminal_shows_a_bar_and_rendered_markdown(at_codegen: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _stream: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    done = at_codegen("run", QUICK)

    assert "simple" in done.stdout
    assert "**" not in done.stdout
    assert "\u2501" in done.stderr


def test_run_reads_the_prompt_from_standard_input(at_codegen: Run, world: FakeCodegen) -> None:
    done = at_codegen("run", "-", "--repo-id", "456", "--model", "gpt-4", input="Explain it.")

    assert done.exit_code == 0, done.output
    assert world.creates[-1].body == {"prompt": "Explain it.", "repo_id": 456, "model": "gpt-4"}


def test_a_failed_run_has_an_exit_code_and_a_reason(at_codegen: Run) -> None:
    done = at_codegen("run", "Do it. [[fake seconds=1 ending=ERROR]]")

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.rstrip().endswith(" ended as failed: The run ended with ERROR.")


def test_a_detached_run_can_be_watched_later(at_codegen: Run) -> None:
    started = at_codegen("run", "--detach", QUICK)
    watched = at_codegen("watch", started.stdout.strip())
    rest = at_codegen("watch", started.stdout.strip(), "--after", "0-3")

    assert watched.stdout == rest.stdout == "It is **simple**.\n"
    assert len(rest.stderr.splitlines()) == len(watched.stderr.splitlines()) - 3


def test_ctrl_c_prints_how_to_follow_the_run_again(world: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    done = runner(monkeypatch, FakeTransport(world), interrupt)("run", QUICK)

    assert done.exit_code == 130
    assert f"codegen-runs watch {world.creates[-1].agent_run_id}" in done.stderr


def test_list_shows_the_newest_runs(at_codegen: Run) -> None:
    table = at_codegen("list", "--limit", "3")
    as_json = at_codegen("list", "--limit", "3", "--json")

    found = json.loads(as_json.stdout)
    assert len(found) == 3
    lines = table.stdout.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "CREATED", "FROM", "WHAT"]
    assert [line.split()[0] for line in lines[1:] if line[:1].isdigit()] == [str(run["id"]) for run in found]


def test_list_shows_runs_whose_fields_are_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [None, {"status": 5}, {"id": 8, "created_at": {}, "summary": [1]}, {"id": "9", "status": "COMPLETE"}]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/agent/runs"):
            return httpx.Response(200, json={"items": runs, "total": 4, "page": 1, "size": 100, "pages": 1})
        return httpx.Response(404, json={})

    done = runner(monkeypatch, httpx.MockTransport(answer), lambda _: None)("list")

    assert done.exit_code == 0, done.output
    assert [line.split()[0] for line in done.stdout.splitlines()[1:5]] == ["unknown", "unknown", "8", "9"]


@pytest.mark.parametrize(
    "line",
    [
        ["list", "--starred"],
        ["star", "7"],
        ["multi-run", "Do it"],
        ["run", "Do it", "--agent", "reviewer"],
        ["cancel", "mr-0123"],
    ],
)
def test_a_command_that_needs_a_deployment_says_so(at_codegen: Run, line: list[str]) -> None:
    done = at_codegen(*line)

    assert done.exit_code == 2
    assert "set base_url to a deployment of Codegen Runs" in done.stderr


def test_a_cancel_needs_consent_to_a_ban(at_codegen: Run) -> None:
    run_id = at_codegen("run", "--detach", "Fix it. [[fake ending=NEVER pull_request=true]]").stdout.strip()

    refused = at_codegen("cancel", run_id)
    done = at_codegen("cancel", run_id, "--allow-pr-ban")

    assert (refused.exit_code, done.exit_code) == (2, 0)
    assert "bans its pull request" in refused.stderr
    assert done.stdout == f"{run_id} is cancelled.\n"


def test_errors_are_messages(at_codegen: Run, world: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = at_codegen("watch", "99999999")
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: 404: Agent run not found.\n")

    world.trouble("create_agent_run", Trouble("cut"), times=None)
    gone = at_codegen("run", "Do it")
    assert gone.exit_code == 1
    assert gone.stderr.startswith("Error: RemoteProtocolError")

    monkeypatch.undo()
    for name in NAMES:
        monkeypatch.delenv(f"CODEGEN_{name}", raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    no_token = CliRunner().invoke(commands, ["list"])
    assert no_token.exit_code == 2
    assert "no token" in no_token.stderr


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_help_needs_no_token(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODEGEN_TOKEN")

    done = CliRunner().invoke(commands, [command, "--help"])

    assert done.exit_code == 0
    assert str(commands.commands[command].help).partition("\n")[0][:40] in done.stdout


def test_the_debug_log_has_each_request_and_no_token(at_codegen: Run) -> None:
    done = at_codegen("--debug", "list")

    assert "GET /v1/organizations/123/agent/runs -> 200" in done.stderr
    assert DEMO_TOKEN not in done.output


def multi_run(status: str, finished: int, **more: Any) -> dict[str, Any]:
    candidates = [
        {"index": index, "status": "completed" if index < finished else "running", "agent_run_id": 100 + index}
        for index in range(2)
    ]
    return {
        "id": "mr-1",
        "status": status,
        "prompt": "Do it",
        "requested": 2,
        "counts": {"finished": finished},
        "candidates": candidates,
        **more,
    }


@pytest.fixture
def answers() -> list[Any]:
    return [{"service": "codegen-runs"}]


@pytest.fixture
def sent() -> list[tuple[str, str, Any]]:
    return []


@pytest.fixture
def at_deployment(answers: list[Any], sent: list[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, json.loads(request.content) if request.content else None))
        body = answers.pop(0)
        return body if isinstance(body, httpx.Response) else httpx.Response(200, json=body)

    yield runner(monkeypatch, httpx.MockTransport(answer), lambda _seconds: None)
    assert answers == []


def test_a_multi_run_shows_its_candidates_and_prints_the_answer(
    at_deployment: Run, answers: list[Any], sent: list[Any]
) -> None:
    done = {"answer": {"text": "# Both", "source": "synthesis"}, "synthesis": {"status": "completed"}}
    answers += [multi_run("queued", 0), multi_run("running", 1), multi_run("completed", 2, **done)]

    shown = at_deployment("multi-run", "Do it", "-n", "2", "--strategy", "synthesize")

    assert shown.exit_code == 0, shown.output
    assert shown.stdout == "# Both\n"
    assert shown.stderr.splitlines() == [
        "candidate 1: completed, run 100",
        "candidate 2: running, run 101",
        "candidate 2: completed, run 101",
        "synthesis: completed",
    ]
    assert sent[1][2] == {"prompt": "Do it", "concurrency": 2, "strategy": "synthesize"}


def test_a_failed_multi_run_has_an_exit_code_and_a_reason(at_deployment: Run, answers: list[Any]) -> None:
    answers += [multi_run("queued", 0), multi_run("failed", 2, reason="No quorum.")]

    shown = at_deployment("multi-run", "Do it")

    assert shown.exit_code == 1
    assert shown.stderr.splitlines()[-1] == "Multi-run mr-1 ended as failed: No quorum."


def test_the_candidates_of_a_multi_run_are_compared(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    evidence = {
        "duration_seconds": 9.5,
        "steps": 6,
        "files": [{"path": "a.py", "access": "changed"}, {"path": "b.py", "access": "read"}, "odd"],
        "tests_outcome": "passed",
        "errors": [],
        "pull_requests": [{"url": "https://github.com/works/shop/pull/3\x1b[2J"}],
    }
    compared = [
        {"index": 0, "status": "completed", "evidence": evidence},
        {"index": 1, "status": "queued", "evidence": None},
    ]
    found = {
        "multi_run_id": "mr-1",
        "status": "running",
        "candidates": compared,
        "agreement": {"summary": "2 of 3 agree"},
    }
    answers += [found, {"service": "codegen-runs"}, found]

    shown = at_deployment("compare", "mr-1")
    as_json = at_deployment("compare", "mr-1", "--json")

    assert [line.split("\t") for line in shown.stdout.splitlines()[1:]] == [
        ["1", "completed", "9.5", "6", "1", "passed", "0", "https://github.com/works/shop/pull/3\\x1b[2J"],
        ["2", "queued", *["unknown"] * 5, "none"],
    ]
    assert "2 of 3 agree" in shown.stderr
    assert json.loads(as_json.stdout)["candidates"][0]["evidence"]["steps"] == 6


def test_stars_are_added_removed_and_listed(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    starred = {"agent_run_id": 7, "starred": True, "note": "Nice."}
    answers += [starred]
    assert at_deployment("star", "7", "--note", "Nice.").stdout == "7 is starred.\n"
    answers += [{"service": "codegen-runs"}, starred | {"starred": False}]
    assert at_deployment("star", "7", "--remove").stdout == "7 is not starred.\n"
    answers += [{"service": "codegen-runs"}, {"items": [starred | {"run": {"status": "completed"}}]}]
    assert at_deployment("list", "--starred").stdout.splitlines()[1].split() == ["7", "completed", "Nice."]

    stars = [body for method, _, body in sent if method == "POST"]
    assert stars == [
        {"agent_run_id": 7, "starred": True, "note": "Nice."},
        {"agent_run_id": 7, "starred": False},
    ]


def test_a_refused_cancel_shows_the_remedy(at_deployment: Run, answers: list[Any]) -> None:
    card = {"id": 7, "status": "running"}
    refusal = {"message": "The run is running.", "remedy": "Allow the ban."}
    answers += [card, card, httpx.Response(409, json=refusal), card]

    done = at_deployment("cancel", "7")

    assert (done.exit_code, done.stderr) == (1, "Error: The run is running. Allow the ban.\n")


def test_cancel_takes_the_id_of_a_multi_run(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    answers += [multi_run("cancelled", 0)]

    assert at_deployment("cancel", "mr-1").stdout == "mr-1 is cancelled.\n"
    assert sent[-1][:2] == ("POST", f"/v1/organizations/{DEMO_ORG_ID}/multi-runs/mr-1/cancel")
