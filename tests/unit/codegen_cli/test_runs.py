"""Commands that start, follow, list and control runs and multi-runs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from codegen_api import RetryPolicy
from codegen_cli.root import commands
from codegen_cli.terminal import open_page
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, Trouble
from tests.unit.codegen_cli.conftest import Run, runner

QUICK = "Explain it. [[fake seconds=20 steps=4 result='It is **simple**.']]"


def test_run_shows_the_steps_and_prints_the_answer(run: Run) -> None:
    done = run("run", QUICK)

    assert done.exit_code == 0, done.output
    assert done.stdout == "It is **simple**.\n", "standard output must have the answer only"
    assert "user_input" in done.stderr
    assert done.stderr.rstrip().endswith("completed")


def test_a_terminal_shows_a_bar_and_rendered_markdown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _stream: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    done = run("run", QUICK)

    assert "simple" in done.stdout
    assert "**" not in done.stdout
    assert "\u2501" in done.stderr


def test_run_reads_the_prompt_from_standard_input(run: Run, world: FakeCodegen) -> None:
    done = run("run", "-", "--repo-id", "456", "--model", "gpt-4", input="Explain it.")

    assert done.exit_code == 0, done.output
    assert world.creates[-1].body == {"prompt": "Explain it.", "repo_id": 456, "model": "gpt-4"}


def test_a_failed_run_has_an_exit_code_and_a_reason(run: Run) -> None:
    done = run("run", "Do it. [[fake seconds=1 ending=ERROR]]")

    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.rstrip().endswith(" ended as failed: The run ended with ERROR.")


def test_a_detached_run_can_be_watched_later(run: Run) -> None:
    started = run("run", "--detach", QUICK)
    watched = run("watch", started.stdout.strip())
    rest = run("watch", started.stdout.strip(), "--after", "0-3")

    assert watched.stdout == rest.stdout == "It is **simple**.\n"
    assert len(rest.stderr.splitlines()) == len(watched.stderr.splitlines()) - 3


def test_ctrl_c_prints_how_to_follow_the_run_again(world: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    done = runner(FakeTransport(world), interrupt)("run", QUICK)

    assert done.exit_code == 130
    assert f"codegen-runs run watch {world.creates[-1].agent_run_id}" in done.stderr


def test_list_shows_the_newest_runs(run: Run) -> None:
    table = run("list", "--limit", "3")
    as_json = run("list", "--limit", "3", "--json")

    found = [json.loads(line) for line in as_json.stdout.splitlines()]
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

    done = runner(httpx.MockTransport(answer), lambda _: None)("list")

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
def test_a_command_that_needs_a_deployment_says_so(run: Run, line: list[str]) -> None:
    done = run(*line)

    assert done.exit_code == 2
    assert "set --base-url to a deployment of Codegen Runs" in done.stderr


def test_a_cancel_needs_consent_to_a_ban(run: Run) -> None:
    run_id = run("run", "--detach", "Fix it. [[fake ending=NEVER pull_request=true]]").stdout.strip()

    refused = run("cancel", run_id)
    done = run("cancel", run_id, "--allow-pr-ban")

    assert (refused.exit_code, done.exit_code) == (2, 0)
    assert "bans its pull request" in refused.stderr
    assert done.stdout == f"{run_id} is cancelled.\n"


def test_errors_are_messages(run: Run, world: FakeCodegen, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = run("watch", "99999999")
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: Agent run not found. Check the id.\n")

    world.trouble("create_agent_run", Trouble("cut"), times=None)
    gone = run("run", "Do it")
    assert gone.exit_code == 1
    assert gone.stderr.startswith("Error: RemoteProtocolError")

    monkeypatch.delenv("CODEGEN_TOKEN")
    no_token = run("list")
    assert no_token.exit_code == 2
    assert "codegen-runs auth login" in no_token.stderr


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))


@pytest.mark.parametrize("path", list(every_command(commands)), ids=" ".join)
def test_help_needs_no_token(path: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODEGEN_TOKEN")

    done = run(*path, "--help")

    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: codegen-runs {' '.join(path)} ")


def test_the_debug_log_has_each_request_and_no_token(run: Run) -> None:
    done = run("--debug", "list")

    assert "GET /v1/organizations/123/agent/runs -> 200" in done.stderr
    assert DEMO_TOKEN not in done.output


PAGE = f"http://codegen.test/console#/{DEMO_ORG_ID}/multi-runs/mr-1"


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


def test_a_multi_run_shows_its_candidates_and_prints_the_answer(
    at_deployment: Run, answers: list[Any], sent: list[Any]
) -> None:
    done = {"answer": {"text": "# Both", "source": "synthesis"}, "synthesis": {"status": "completed"}}
    answers += [multi_run("queued", 0), multi_run("running", 1), multi_run("completed", 2, **done)]

    shown = at_deployment("multi-run", "Do it", "-n", "2", "--strategy", "synthesize")

    assert shown.exit_code == 0, shown.output
    assert shown.stdout == "# Both\n"
    assert shown.stderr.splitlines() == [
        f"Multi-run mr-1: {PAGE}",
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
    answers += [{"service": "codegen-runs"}, httpx.Response(204)]
    assert at_deployment("star", "7", "--remove").stdout == "7 is not starred.\n"
    answers += [{"service": "codegen-runs"}, {"items": [starred | {"run": {"status": "completed"}}]}]
    assert at_deployment("list", "--starred").stdout.splitlines()[1].split() == ["7", "completed", "Nice."]

    assert [body for method, _, body in sent if method == "POST"] == [starred]
    assert [url for method, url, _ in sent if method == "DELETE"] == ["/v1/organizations/123/starred-runs/7"]


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


# --- the spellings of commands --------------------------------------------------------------------------------------


def test_run_with_a_prompt_starts_a_run(run: Run, world: FakeCodegen) -> None:
    for line in (["run", "--detach", QUICK], ["run", "start", QUICK, "--detach"], ["run", "--model", "x", QUICK]):
        assert run(*line).exit_code == 0, line

    assert [creation.body["prompt"] for creation in world.creates] == [QUICK] * 3


def test_a_mistyped_command_starts_no_agent(run: Run, world: FakeCodegen) -> None:
    mistyped = run("run", "lst")
    meant = run("run", "start", "lst", "--detach")

    assert mistyped.exit_code == 2
    assert "Did you mean 'list'? If not, use: codegen-runs run start lst" in mistyped.stderr
    assert meant.exit_code == 0
    assert [creation.body["prompt"] for creation in world.creates] == ["lst"]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (["list", "--limit", "2"], ["run", "list", "--limit", "2"]),
        (["watch", "100001"], ["run", "watch", "100001"]),
        (["cancel", "100001"], ["run", "cancel", "100001"]),
    ],
)
def test_a_short_spelling_is_the_same_command(run: Run, short: list[str], long: list[str]) -> None:
    assert run(*short).output == run(*long).output


# --- links and pull requests ----------------------------------------------------------------------------------------


def test_a_run_names_its_page_at_the_start_and_its_pull_requests_at_the_end(run: Run, world: FakeCodegen) -> None:
    done = run("run", "Fix it. [[fake seconds=5 pull_request=true result='Fixed.']]")

    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"Run {world.creates[-1].agent_run_id}: https://codegen.com/agent/trace/")
    assert lines[-1].startswith("Pull request: https://github.com/")
    assert done.stdout == "Fixed.\n"


def test_the_record_of_a_run_has_the_names_of_a_run_card(run: Run) -> None:
    done = run("run", "Fix it. [[fake seconds=5 pull_request=true result='Fixed.']]", "--json")

    record = json.loads(done.stdout)
    assert (record["status"], record["upstream_status"], record["result"]) == ("completed", "COMPLETE", "Fixed.")
    assert record["pull_requests"][0]["url"].startswith("https://github.com/")
    assert record["pull_requests"][0]["branch_name"]


def test_events_are_json_lines(run: Run) -> None:
    run_id = run("run", "--detach", QUICK).stdout.strip()
    watched = run("watch", run_id, "--json", "id,type")

    events = [json.loads(line) for line in watched.stdout.splitlines()]
    assert events[0] == {"id": "0-1", "type": "run.log"}
    assert events[-1]["type"] == "run.completed"


def test_web_opens_the_page(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", lambda url: opened.append(url) or 0)

    assert run("run", "open", "100001").exit_code == 0
    assert run("run", "view", "100001", "--web").exit_code == 0
    assert opened == ["https://codegen.com/agent/trace/100001"] * 2


@pytest.mark.parametrize("address", [None, "", "file:///etc/passwd", "--help", "javascript:alert(1)"])
def test_only_a_web_page_is_opened(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.launch", lambda _url: pytest.fail("it was opened"))

    with pytest.raises(click.ClickException, match="no page"):
        open_page(address)


# --- following up, logs ---------------------------------------------------------------------------------------------


def test_a_follow_up_shows_only_the_events_of_its_turn(run: Run) -> None:
    run_id = run("run", "--detach", QUICK).stdout.strip()
    first = run("watch", run_id)
    second = run("run", "follow-up", run_id, "And now test it. [[fake seconds=5 steps=2 result='Tested.']]")

    assert second.exit_code == 0, second.output
    assert second.stdout == "Tested.\n"
    assert not set(first.stderr.splitlines()[:-1]) & set(second.stderr.splitlines()[1:])


def test_the_log_is_a_list(run: Run) -> None:
    done = run("run", "logs", "100001", "--limit", "2")
    record = json.loads(run("run", "logs", "100001", "--limit", "1", "--json").stdout)

    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == ["TYPE", "USER_MESSAGE", "ACTION"]
    assert record["message_type"] == "USER_MESSAGE"


# --- waiting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 3])
def test_a_start_that_the_rate_limit_delays_says_how_long(world: FakeCodegen, retries: int) -> None:
    patient = runner(FakeTransport(world), world.clock.advance, retry=RetryPolicy(max_retries=retries))
    for _ in range(10):
        assert patient("run", "--detach", "Do it.").exit_code == 0

    delayed = patient("run", "--detach", "Do it.")

    assert delayed.exit_code == 0, delayed.output
    assert re.search(r"The next attempt is in \d+ s\.", delayed.stderr)


def test_a_delayed_start_tells_the_limit_and_the_launch_queue(answers: list[Any], sent: list[Any]) -> None:
    create = {"name": "create", "calls": 10, "window_seconds": 60, "remaining": 0, "opens_at": None}
    limits = {"caller": [create], "background": [], "queue": {"length": 4, "runs": []}}
    replies = [*answers, httpx.Response(429, json={"code": "limit_used_up"}, headers={"Retry-After": "34"})]
    replies += [limits, {"id": 7, "organization_id": 123, "status": "ACTIVE"}]

    def answer(_request: httpx.Request) -> httpx.Response:
        reply = replies.pop(0)
        return reply if isinstance(reply, httpx.Response) else httpx.Response(200, json=reply)

    patient = runner(httpx.MockTransport(answer), lambda _: None, retry=RetryPolicy(max_retries=3))
    done = patient("run", "--detach", "Do it.")

    assert done.stdout == "7\n"
    assert "Codegen's limit of 10 new runs in 60 s is used up. The next attempt is in 34 s." in done.stderr
    assert "4 runs of the organization wait in the launch queue." in done.stderr


def test_web_opens_a_multi_run_in_the_console(
    at_deployment: Run, answers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("click.launch", lambda url: opened.append(url) or 0)
    answers += [multi_run("queued", 0), {"service": "codegen-runs"}, multi_run("running", 1)]

    assert at_deployment("multi-run", "start", "--detach", "--web", "Do it").stdout == "mr-1\n"
    assert at_deployment("multi-run", "view", "--web", "mr-1").stdout == ""
    assert opened == [PAGE, PAGE]


def test_the_page_of_a_multi_run_is_in_its_details_and_its_record(at_deployment: Run, answers: list[Any]) -> None:
    answers += [multi_run("running", 1), {"service": "codegen-runs"}, multi_run("running", 1)]

    assert PAGE in at_deployment("multi-run", "view", "mr-1").stdout
    assert json.loads(at_deployment("multi-run", "view", "mr-1", "--json", "web_url").stdout) == {"web_url": PAGE}


def test_a_queued_candidate_shows_its_place(at_deployment: Run, answers: list[Any]) -> None:
    queued = multi_run("running", 1)
    queue = {"position": 3, "expected_at": "2026-11-27T12:00:00.000Z"}
    queued["candidates"][1] = {"index": 1, "status": "queued", "queue": queue}
    answers += [queued, queued, multi_run("completed", 2, answer={"text": "x", "source": "synthesis"})]

    shown = at_deployment("multi-run", "watch", "mr-1")

    assert "candidate 2: queued, 3 runs ahead, expected at 2026-11-27 12:00:00 UTC" in shown.stderr


def test_a_detached_multi_run_can_be_watched_later(at_deployment: Run, answers: list[Any]) -> None:
    answers += [multi_run("queued", 0)]
    started = at_deployment("multi-run", "start", "--detach", "Do it")
    answers += [{"service": "codegen-runs"}, multi_run("completed", 2, answer={"text": "Both.", "source": "synthesis"})]
    watched = at_deployment("multi-run", "watch", "mr-1")

    assert started.stdout == "mr-1\n"
    assert "codegen-runs multi-run watch mr-1" in started.stderr
    assert watched.stdout == "Both.\n"


@pytest.mark.parametrize("text", ["color=red", "model", "model=", "=x", "repo_id=seven"])
def test_what_is_no_variant_is_a_usage_error(run: Run, text: str) -> None:
    assert run("multi-run", "estimate", "Do it", "--variant", text).exit_code == 2


def test_a_multi_run_from_a_checkpoint(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    answers.append({"id": "mr-1", "status": "queued"})

    at_deployment("multi-run", "start", "Do it", "--from-checkpoint", "100005.0-36", "--detach")

    assert sent[-1][2] == {"prompt": "Do it", "from_checkpoint": "100005.0-36"}


def test_a_multi_run_shows_its_checkpoint(at_deployment: Run, answers: list[Any]) -> None:
    start = {"checkpoint_id": "100005.0-36", "run": "100005"}
    answers.append(multi_run("running", 1) | {"from_checkpoint": start})

    shown = at_deployment("multi-run", "view", "mr-1")

    assert "Checkpoint: 100005.0-36" in " ".join(shown.stdout.split())


def test_how_a_multi_run_stops_and_how_its_answer_is_made(
    at_deployment: Run, answers: list[Any], sent: list[Any]
) -> None:
    answers.append({"id": "mr-1", "status": "queued"})
    stopping = ["--first-k", "2", "--adaptive", "2", "3", "--second-wave", "30"]
    synthesis = ["--synthesis-prompt", "Be short.", "--synthesis-model", "a", "--top-k", "3", "--graft"]

    at_deployment(
        "multi-run", "start", "Do it", "--detach", "-n", "100", *stopping, *synthesis, "--metadata", '{"a": 1}'
    )

    assert sent[-1][2] == {
        "prompt": "Do it",
        "concurrency": 100,
        "first_k": 2,
        "adaptive": {"start": 2, "agree": 3},
        "second_wave": 30,
        "synthesis": {"prompt": "Be short.", "model": "a", "top_k": 3, "graft": True},
        "metadata": {"a": 1},
    }


def test_images_go_with_a_prompt_as_data_uris(
    at_deployment: Run, answers: list[Any], sent: list[Any], tmp_path: Path
) -> None:
    image = tmp_path / "screen.png"
    image.write_bytes(b"\x89PNG")
    answers.append({"id": 100001, "status": "queued"})

    at_deployment("run", "start", "Do it", "--detach", "--image", str(image))

    assert sent[-1][2]["images"] == ["data:image/png;base64,iVBORw=="]


@pytest.mark.parametrize("name", ["absent.png", "notes.txt", "."])
def test_what_is_no_image_is_a_usage_error(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("Not an image.")

    assert run("run", "start", "Do it", "--image", str(tmp_path / name)).exit_code == 2


def test_variants_and_an_estimate(at_deployment: Run, answers: list[Any], sent: list[Any]) -> None:
    refusal = {"code": "too_many_queued_runs", "detail": "Too many runs wait.", "remedy": "", "retryable": True}
    answers += [{"runs": 6, "runs_at_least": 5, "refusals": [refusal]}]
    options = ["-n", "2", "--variant", "model=a,repo_id=7", "--variant", "agent_type=claude_code"]

    shown = at_deployment("multi-run", "estimate", "Do it", *options)

    assert shown.stdout == "Runs at most:  6\nRuns at least: 5\n"
    assert shown.stderr == "It would be refused: Too many runs wait.\n"
    assert sent[-1][2] == {
        "prompt": "Do it",
        "concurrency": 2,
        "variants": [{"model": "a", "repo_id": 7}, {"agent_type": "claude_code"}],
    }
