"""Caps on queued runs: every operation that starts or continues a run is refused before anything is stored."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.limits import backlogs
from codegen_runs.limits.backlogs import TooManyQueuedRuns
from codegen_runs.multi_runs import leaving
from codegen_runs.poller.loop import Poller
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.backlogs import Backlog
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import (
    DEMO_ORG_ID,
    DEMO_REPO_ID,
    DEMO_SANDBOX_ID,
    DEMO_TOKEN,
    FakeCodegen,
    FakeTransport,
    Script,
)
from local.template import Template
from tests.support import backend, handlers
from tests.support.events import Answer, Context, call, current, invoke, rest, working_with
from tests.support.loops import current_loop
from tests.support.memory import MemoryRuns
from tests.support.sources import FUNCTIONS

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
ADA = Caller("user:789", 789, frozenset({DEMO_ORG_ID, 124}), DEMO_TOKEN)
BOB = Caller("user:790", 790, frozenset({DEMO_ORG_ID, 124}), DEMO_TOKEN)

Post = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _world(
    deployed: Template, fake: FakeCodegen, clock: backend.TestClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    backend.create_state_machine(deployed)
    monkeypatch.setenv("MAX_QUEUED_RUNS_PER_CALLER", "8")
    monkeypatch.setenv("MAX_QUEUED_RUNS_PER_ORGANIZATION", "12")
    work = Backend(clock=clock, kick=backend.Kicks())
    with upstream.over(FakeTransport(fake)), working_with(work), current_loop():
        yield


@pytest.fixture
def poll(runs: RunsTable, codegen: CodegenAPI, clock: backend.TestClock) -> Callable[[float], None]:
    poller = Poller(runs=runs, codegen=codegen, tokens=backend.Tokens(), clock=clock, holder="me", concurrency=1)

    def poll(seconds: float) -> None:
        until = clock.now() + seconds
        while clock.now() < until:
            poller.tick(min(until, clock.now() + 58))
            clock.sleep(2)

    return poll


def post(name: str, path: str, body: Any = None, *, caller: Caller = ADA) -> Answer:
    return call(handlers.handler(name), rest("POST", path, body=body, caller=caller))


def multi_run(concurrency: int, *, caller: Caller = ADA, **more: Any) -> Answer:
    body = {"prompt": "Say hello.", "concurrency": concurrency, "judge": "never", **more}
    return post("multi_runs/create", f"{ORG}/multi-runs", body, caller=caller)


def task(name: str, multi_run_id: str, **more: Any) -> Any:
    event = {"org_id": DEMO_ORG_ID, "multi_run_id": multi_run_id, **more}
    return json.loads(json.dumps(invoke(handlers.handler(f"multi_runs/{name}"), event, Context())))


def launch(created: Answer, count: int) -> None:
    for index in range(count):
        task("launch", created.json["id"], index=index, task_token=f"token-{index}")


def queued(caller: Caller | None = None) -> int:
    now = round(current().clock.now() * 1000)
    return current().runs.get_backlog(DEMO_ORG_ID).count(now, caller.id if caller else None)


def stored(deployed: Template) -> dict[str, list[Any]]:
    """Return what all tables contain, except for permits and the audit trail."""
    client = boto3.client("dynamodb")
    return {
        name: [item for item in client.scan(TableName=name)["Items"] if "bucket" not in item["pk"]["S"]]
        for name in client.list_tables()["TableNames"]
        if name != "AuditTable"
    }


def test_a_multi_run_counts_with_all_its_runs_and_its_synthesis() -> None:
    assert multi_run(3).status == 202
    assert (queued(), queued(ADA), queued(BOB)) == (4, 4, 0)
    assert multi_run(4, strategy="none").status == 202
    assert queued(ADA) == 8


def test_a_multi_run_counts_with_its_judges() -> None:
    assert multi_run(3, strategy="select", judge="auto").status == 202
    assert queued(ADA) == 3 + 2


def test_a_multi_run_over_the_cap_of_its_caller_is_refused_before_anything_is_stored(deployed: Template) -> None:
    multi_run(3)
    before = stored(deployed)
    refused = multi_run(4)

    assert (refused.status, refused.json["code"], refused.json["retryable"]) == (429, "too_many_queued_runs", True)
    assert refused.json["detail"] == ("You have 4 queued runs, and this request would add 5. At most 8 are allowed.")
    assert "cancel" in refused.json["remedy"]
    assert int(refused.headers["retry-after"]) >= 1
    assert stored(deployed) == before
    assert multi_run(3).status == 202


def test_a_multi_run_over_the_cap_of_its_organization_is_refused() -> None:
    multi_run(6)
    refused = multi_run(5, caller=BOB)

    assert (refused.status, refused.json["code"]) == (429, "too_many_queued_runs")
    assert refused.json["detail"] == (
        "The organization has 7 queued runs, and this request would add 6. At most 12 are allowed."
    )
    assert multi_run(4, caller=BOB).status == 202


def test_a_multi_run_that_never_fits_is_not_retryable() -> None:
    refused = multi_run(8)

    assert (refused.status, refused.json["retryable"]) == (429, False)
    assert refused.json["remedy"] == "Request at most 7 candidates in a multi-run."
    assert "retry-after" not in refused.headers


def a_checkpoint(poll: Callable[[float], None], fake: FakeCodegen) -> tuple[int, str]:
    fake.script(Script(seconds=2, steps=2, result="Done.", pull_request=False))
    run = post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "Fix it."}).json["id"]
    poll(60)
    listed = call(handlers.handler("checkpoints/list"), rest("GET", f"{ORG}/agent/run/{run}/checkpoints", caller=ADA))
    return run, listed.json["items"][0]["id"]


DOORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "run": ("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}),
    "run of an agent": ("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x", "agent_id": "assistant"}),
    "follow-up": ("agent_runs/resume", f"{ORG}/agent/run/resume", {"prompt": "x", "agent_run_id": 0}),
    "follow-up in the path": ("agent_runs/resume", f"{ORG}/agent/run/RUN/resume", {"prompt": "x"}),
    "card": ("run_cards/create", f"{ORG}/run-cards", {"prompt": "x"}),
    "follow-up of a card": ("run_cards/resume", f"{ORG}/run-cards/RUN/resume", {"prompt": "x"}),
    "chat": ("chat/send", f"{ORG}/chat", {"message": "x", "agent_id": "assistant"}),
    "fork": ("checkpoints/fork", f"{ORG}/checkpoints/CHECKPOINT/fork", {}),
    "restore": ("checkpoints/restore", f"{ORG}/checkpoints/CHECKPOINT/restore", {}),
    "restore in a new run": (
        "checkpoints/restore", f"{ORG}/checkpoints/CHECKPOINT/restore", {"create_new_run": True}
    ),
    "setup commands": (
        "setup_commands/generate", f"{ORG}/setup-commands/generate", {"repo_id": DEMO_REPO_ID}
    ),
    "sandbox": ("sandboxes/analyze_logs", f"{ORG}/sandbox/{DEMO_SANDBOX_ID}/analyze-logs", {}),
    "multi-run": ("multi_runs/create", f"{ORG}/multi-runs", {"prompt": "x", "concurrency": 1}),
}  # fmt: skip


QUICK = ("run", "follow-up", "chat", "fork")


@pytest.mark.parametrize(
    "door", [door if door in QUICK else pytest.param(door, marks=pytest.mark.full) for door in DOORS]
)
def test_every_operation_that_starts_or_continues_a_run_is_refused_before_anything_is_stored(
    door: str, deployed: Template, fake: FakeCodegen, poll: Callable[[float], None]
) -> None:
    post("agents/create", f"{ORG}/agents", {"id": "assistant", "name": "Assistant", "system_prompt": "Be kind."})
    run, checkpoint = a_checkpoint(poll, fake)
    name, path, body = DOORS[door]
    path = path.replace("RUN", str(run)).replace("CHECKPOINT", checkpoint)
    body = body | ({"agent_run_id": run} if "agent_run_id" in body else {})
    assert multi_run(7).status == 202
    before, creates = stored(deployed), len(fake.creates)
    refused = post(name, path, body)

    assert (refused.status, refused.json.get("code")) == (429, "too_many_queued_runs"), refused.text
    assert "retry-after" in refused.headers
    assert stored(deployed) == before
    assert len(fake.creates) == creates
    assert door == "multi-run" or post(name, path, body, caller=BOB).status in (200, 201, 202)


def test_runs_are_started_and_continued_nowhere_else() -> None:
    starts = re.compile(r"\.runs\.(create|resume)\(|setup_commands\.generate\(|sandboxes\.analyze_logs\(")
    layer = FUNCTIONS.parent / "layers" / "codegen" / "codegen_runs"
    files = [*FUNCTIONS.rglob("*.py"), *layer.rglob("*.py")]
    found = {file.name for file in files if starts.search(re.sub(r"\s", "", file.read_text(encoding="utf-8")))}

    assert found == {"starting.py", "launching.py"}


def test_a_caller_without_queued_runs_is_not_held_back_by_those_of_colleagues() -> None:
    assert [multi_run(5).status, multi_run(5, caller=BOB).status] == [202, 202]
    carol = Caller("user:791", 791, frozenset({DEMO_ORG_ID}), DEMO_TOKEN)

    assert multi_run(1, caller=carol).status == 429
    assert post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}, caller=carol).status == 200
    assert post("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}, caller=BOB).status == 429


def test_all_tokens_of_a_user_count_together() -> None:
    token = Caller(ADA.id, 789, ADA.organizations, kind=DEPLOYMENT, roles={}, token_id="tok-1")
    multi_run(7)

    with pytest.raises(TooManyQueuedRuns):
        backlogs.check(org_id=DEMO_ORG_ID, caller=token, backend=current())
    backlogs.check(org_id=124, caller=token, backend=current())


def test_runs_that_are_launched_count_no_longer(poll: Callable[[float], None], fake: FakeCodegen) -> None:
    fake.script(Script(ending="NEVER"), times=3)
    created = multi_run(3)
    launch(created, 3)
    assert queued() == 4
    poll(5)

    assert queued() == 1


def test_runs_that_end_without_a_launch_count_no_longer(
    poll: Callable[[float], None], clock: backend.TestClock, runs: RunsTable
) -> None:
    created = multi_run(3, deadline_s=60)
    launch(created, 2)
    call(
        handlers.handler("agent_runs/cancel"),
        rest("POST", f"{ORG}/agent/run/{created.json['id']}-0/cancel", caller=ADA),
    )
    assert queued() == 3
    clock.sleep(61)
    poll(2)

    assert queued() == 2


@pytest.mark.parametrize("ending", ["published", "cancelled", "not started"])
def test_a_multi_run_that_has_ended_counts_no_longer(ending: str, deployed: Template) -> None:
    if ending == "not started":
        boto3.client("stepfunctions").delete_state_machine(
            stateMachineArn=deployed.state_machines["MultiRunStateMachine"].arn
        )
        assert multi_run(3).status >= 500
    else:
        created = multi_run(3)
        launch(created, 1)
        assert queued() == 4
        if ending == "published":
            task("publish", created.json["id"])
        else:
            post("multi_runs/cancel", f"{ORG}/multi-runs/{created.json['id']}/cancel")

    assert queued() == 0


def test_the_late_end_of_an_execution_leaves_the_queued_runs_of_a_retry_counted(
    poll: Callable[[float], None], fake: FakeCodegen
) -> None:
    fake.script(Script(ending="FAILED", seconds=1), times=2)
    created = multi_run(2, strategy="none")
    task("plan", created.json["id"])
    launch(created, 2)
    poll(20)
    task("publish", created.json["id"])
    first_end = current().multi_runs.get(DEMO_ORG_ID, created.json["id"])
    assert queued() == 0
    assert post("multi_runs/retry", f"{ORG}/multi-runs/{created.json['id']}/retry").status == 202
    assert queued() == 2
    leaving.release(first_end, backend=current())

    assert queued() == 2
    post("multi_runs/cancel", f"{ORG}/multi-runs/{created.json['id']}/cancel")
    assert queued() == 0


def test_what_a_dead_function_reserved_counts_until_the_multi_run_must_have_ended(clock: backend.TestClock) -> None:
    until = round((clock.now() + 100) * 1000)
    backlogs.reserve("mr-1", ["mr-1-0"], execution=0, org_id=DEMO_ORG_ID, caller=ADA, until=until, backend=current())
    assert queued() == 1
    clock.sleep(100)
    assert queued() == 0
    multi_run(3)

    assert list(current().runs.get_backlog(DEMO_ORG_ID).multi_runs) != ["mr-1"]
    assert queued() == 4


def test_requests_at_the_same_time_do_not_exceed_the_cap(runs: RunsTable, clock: backend.TestClock) -> None:
    def reserve(number: int) -> bool:
        name = f"mr-{number}"
        try:
            backlogs.reserve(
                name,
                [f"{name}-0", f"{name}-1"],
                execution=0,
                org_id=DEMO_ORG_ID,
                caller=ADA,
                until=round((clock.now() + 100) * 1000),
                backend=Backend(clock=clock, runs=runs),
            )
        except TooManyQueuedRuns:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        reserved = list(threads.map(reserve, range(8)))

    assert sum(reserved) == 4
    assert queued() == 8


def test_a_run_is_started_although_the_backlog_cannot_be_read(clock: backend.TestClock) -> None:
    class Unavailable(MemoryRuns):
        def get_backlog(self, org_id: int) -> Backlog:
            raise StorageUnavailable

    unavailable = Backend(clock=clock, runs=Unavailable())  # type: ignore[typeddict-item]
    backlogs.check(org_id=DEMO_ORG_ID, caller=ADA, backend=unavailable)
    with pytest.raises(StorageUnavailable):
        backlogs.reserve("mr-1", ["mr-1-0"], execution=0, org_id=DEMO_ORG_ID, caller=ADA, until=1, backend=unavailable)


STEPS = st.tuples(st.sampled_from(["add", "leave", "end", "end late"]), st.integers(0, 3), st.integers(0, 4))


@given(st.lists(STEPS, max_size=40))
def test_a_backlog_counts_each_run_once_until_its_own_execution_ends(steps: list[tuple[str, int, int]]) -> None:
    backlog, expected, executions = Backlog(), dict[str, set[str]](), [0] * 4
    for act, multi_run_number, run in steps:
        name, execution = f"mr-{multi_run_number}", executions[multi_run_number]
        before = expected.get(name, set())
        match act:
            case "add":
                keys = [f"{name}-{number}" for number in range(run)] + [f"{name}-synthesis"]
                added = {"execution": execution, "until": 10, "now": 0}
                backlog = backlog.added(name, f"user:{multi_run_number % 2}", keys, **added)
                expected[name] = before | set(keys)
            case "leave":
                backlog = backlog.without(name, f"{name}-{run}")
                expected[name] = before - {f"{name}-{run}"}
            case "end":
                backlog = backlog.without_ended(name, execution)
                expected[name] = set()
                executions[multi_run_number] += 1
            case "end late":
                # Nothing but runs of the last execution is left, because the earlier ones have ended.
                backlog = backlog.without_ended(name, execution - 1)
        assert backlog.count(9) == sum(map(len, expected.values()))
        assert backlog.count(10) == 0
        assert backlog.count(9, "user:0") == sum(len(expected.get(f"mr-{number}", ())) for number in (0, 2))


def test_an_end_that_changes_nothing_is_not_written() -> None:
    backlog = Backlog().added("mr-1", "user:1", ["mr-1-0"], execution=1, until=10, now=0)

    for unchanged in (backlog.without_ended("mr-1", 0), backlog.without_ended("mr-2", 1), backlog.without("mr-1", "x")):
        assert unchanged is backlog


def test_runs_that_were_stored_without_an_execution_leave_the_backlog_with_the_first_end() -> None:
    backlog = Backlog.model_validate({"multi_runs": {"mr-1": {"caller": "user:1", "runs": ["0"], "until": 10}}})

    assert backlog.without_ended("mr-1", 0).count(9) == 0
