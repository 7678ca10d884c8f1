"""Budgets: who may set them, what they count, and that a request over a budget reaches neither Codegen nor a table."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.budgets import counting, spending
from codegen_runs.budgets.counting import BudgetExhausted, Need
from codegen_runs.callers import Caller
from codegen_runs.poller.loop import Poller
from codegen_runs.problems import StorageUnavailable
from codegen_runs.roles import Role
from codegen_runs.storage.budgets import Budgets, Limits
from codegen_runs.storage.runs import RunsTable
from codegen_runs.storage.table import ConditionFailed, Table
from local.fake_codegen import (
    DEMO_ORG_ID,
    DEMO_REPO_ID,
    DEMO_SANDBOX_ID,
    DEMO_TOKEN,
    FakeCodegen,
    FakeTransport,
    Script,
    Trouble,
)
from local.template import Template
from tests.support import backend, handlers
from tests.support.events import Answer, Context, call, current, invoke, rest, working_with
from tests.support.loops import current_loop

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
ADA = Caller("user:789", 789, frozenset({DEMO_ORG_ID, 124}), DEMO_TOKEN, roles={DEMO_ORG_ID: Role.ADMIN})
BOB = Caller("user:790", 790, frozenset({DEMO_ORG_ID, 124}), DEMO_TOKEN, roles={DEMO_ORG_ID: Role.MEMBER})


@pytest.fixture(autouse=True)
def _world(deployed: Template, fake: FakeCodegen, clock: backend.TestClock) -> Iterator[None]:
    backend.create_state_machine(deployed)
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


def send(method: str, name: str, path: str, body: Any = None, *, caller: Caller = ADA) -> Answer:
    return call(handlers.handler(name), rest(method, path, body=body, caller=caller))


def put(*, by: Caller = ADA, **scopes: Any) -> Answer:
    return send("PUT", "budgets/set", f"{ORG}/budgets", scopes, caller=by)


def read(*, caller: Caller = ADA) -> Any:
    return send("GET", "budgets/get", f"{ORG}/budgets", caller=caller).json


def used(*, caller: Caller = ADA) -> dict[tuple[str, str], int]:
    return {(each["budget"], each["scope"]): each["used"] for each in read(caller=caller)["used"]}


def run(*, caller: Caller = ADA) -> Answer:
    return send("POST", "agent_runs/create", f"{ORG}/agent/run", {"prompt": "Say hello."}, caller=caller)


def follow_up(run_id: int, *, caller: Caller = ADA) -> Answer:
    body = {"prompt": "Go on.", "agent_run_id": run_id}
    return send("POST", "agent_runs/resume", f"{ORG}/agent/run/resume", body, caller=caller)


def multi_run(concurrency: int, *, caller: Caller = ADA, **more: Any) -> Answer:
    body = {"prompt": "Say hello.", "concurrency": concurrency, **more}
    return send("POST", "multi_runs/create", f"{ORG}/multi-runs", body, caller=caller)


def stored() -> dict[str, list[Any]]:
    """Return what all tables contain, except for permits and the audit trail, which has what was refused, too."""
    client = boto3.client("dynamodb")
    return {
        name: [item for item in client.scan(TableName=name)["Items"] if "bucket" not in item["pk"]["S"]]
        for name in client.list_tables()["TableNames"]
        if name != "AuditTable"
    }


def events_of(key: str) -> list[Any]:
    return current().runs.events(DEMO_ORG_ID, key)


def test_without_budgets_nothing_is_refused_and_nothing_is_counted() -> None:
    assert run().status == 200
    answer = read()

    assert (answer["used"], answer["updated_at"]) == ([], None)
    assert not any("budgets" in item["pk"]["S"] for items in stored().values() for item in items)


def test_an_admin_sets_budgets_and_every_member_sees_them_with_their_own_use() -> None:
    changed = put(organization={"runs_per_day": 10}, caller={"runs_per_day": 3})
    run()
    run(caller=BOB)
    run(caller=BOB)

    assert (changed.status, changed.json["updated_by"]) == (200, "user:789")
    assert used(caller=BOB) == {("runs_per_day", "organization"): 3, ("runs_per_day", "caller"): 2}
    assert used() == {("runs_per_day", "organization"): 3, ("runs_per_day", "caller"): 1}
    assert put(by=BOB).status == 403


def test_new_limits_replace_the_old_ones_and_keep_the_counts() -> None:
    put(organization={"runs_per_day": 5, "runs_per_month": 9})
    run()
    put(organization={"runs_per_day": 4})

    assert used() == {("runs_per_day", "organization"): 1}
    assert read()["organization"]["runs_per_month"] is None


@pytest.mark.parametrize("limit", [-1, 1.5, "3", True, 10**7])
def test_a_limit_is_a_whole_number(limit: object) -> None:
    assert put(organization={"runs_per_day": limit}).status == 422


def test_an_unknown_budget_is_ignored_with_a_warning() -> None:
    assert put(runs=3).json["warnings"][0]["pointer"] == "/runs"


def a_checkpoint(poll: Callable[[float], None], fake: FakeCodegen) -> tuple[int, str]:
    fake.script(Script(seconds=2, steps=2, result="Done.", pull_request=False))
    started = run().json["id"]
    poll(60)
    listed = send("GET", "checkpoints/list", f"{ORG}/agent/run/{started}/checkpoints")
    return started, listed.json["items"][0]["id"]


DOORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "run": ("agent_runs/create", f"{ORG}/agent/run", {"prompt": "x"}),
    "follow-up": ("agent_runs/resume", f"{ORG}/agent/run/resume", {"prompt": "x", "agent_run_id": 0}),
    "card": ("run_cards/create", f"{ORG}/run-cards", {"prompt": "x"}),
    "follow-up of a card": ("run_cards/resume", f"{ORG}/run-cards/RUN/resume", {"prompt": "x"}),
    "chat": ("chat/send", f"{ORG}/chat", {"message": "x", "agent_id": "assistant"}),
    "fork": ("checkpoints/fork", f"{ORG}/checkpoints/CHECKPOINT/fork", {}),
    "restore": ("checkpoints/restore", f"{ORG}/checkpoints/CHECKPOINT/restore", {}),
    "setup commands": ("setup_commands/generate", f"{ORG}/setup-commands/generate", {"repo_id": DEMO_REPO_ID}),
    "sandbox": ("sandboxes/analyze_logs", f"{ORG}/sandbox/{DEMO_SANDBOX_ID}/analyze-logs", {}),
    "multi-run": ("multi_runs/create", f"{ORG}/multi-runs", {"prompt": "x", "concurrency": 1}),
}
QUICK = ("run", "multi-run")


@pytest.mark.parametrize(
    "door", [door if door in QUICK else pytest.param(door, marks=pytest.mark.full) for door in DOORS]
)
def test_every_operation_that_starts_or_continues_a_run_is_refused_before_codegen_is_called(
    door: str, fake: FakeCodegen, poll: Callable[[float], None]
) -> None:
    send(
        "POST", "agents/create", f"{ORG}/agents", {"id": "assistant", "name": "Assistant", "system_prompt": "Be kind."}
    )
    started, checkpoint = a_checkpoint(poll, fake)
    name, path, body = DOORS[door]
    path = path.replace("RUN", str(started)).replace("CHECKPOINT", checkpoint)
    body = body | ({"agent_run_id": started} if "agent_run_id" in body else {})
    put(caller={"runs_per_day": 0, "follow_ups_per_day": 0})
    before, creates = stored(), len(fake.creates)
    refused = send("POST", name, path, body)

    assert (refused.status, refused.json["code"]) == (402, "budget_exhausted"), refused.text
    assert "ask an admin" in refused.json["remedy"]
    assert stored() == before
    assert len(fake.creates) == creates
    put()
    assert send("POST", name, path, body).status in (200, 201, 202)


def test_a_refusal_names_the_budget_its_use_and_when_to_retry() -> None:
    put(organization={"runs_per_day": 1})
    run()
    refused = run(caller=BOB).json

    assert refused["detail"] == "The organization has used 1 of 1 runs per day, and this request needs 1 more."
    assert (refused["budget"], refused["scope"], refused["limit"], refused["used"]) == (
        "runs_per_day",
        "organization",
        1,
        1,
    )
    assert refused["resets_at"] in refused["remedy"]
    assert refused["retryable"] is False


@pytest.mark.parametrize(("budget", "days"), [("runs_per_day", 1), ("runs_per_month", 31)])
def test_a_new_day_and_a_new_month_begin_at_zero(budget: str, days: int, clock: backend.TestClock) -> None:
    put(caller={budget: 1})
    assert [run().status, run().status] == [200, 402]
    clock.sleep(days * 86_400)

    assert used() == {(budget, "caller"): 0}
    assert run().status == 200


def test_follow_ups_have_a_budget_of_their_own(poll: Callable[[float], None], fake: FakeCodegen) -> None:
    fake.script(Script(seconds=1, steps=1))
    put(caller={"follow_ups_per_day": 1, "runs_per_day": 5})
    started = run().json["id"]
    poll(10)

    assert [follow_up(started).status, follow_up(started).status] == [200, 402]
    assert used() == {("runs_per_day", "caller"): 1, ("follow_ups_per_day", "caller"): 1}


def test_a_run_is_concurrent_until_it_has_ended(poll: Callable[[float], None], fake: FakeCodegen) -> None:
    fake.script(Script(seconds=5, steps=1))
    put(organization={"concurrent_runs": 1})
    started = run().json["id"]
    refused = run(caller=BOB)

    assert (refused.status, refused.json["retryable"]) == (402, True)
    assert follow_up(started).status == 200  # The run is counted already.
    poll(60)
    assert used() == {("concurrent_runs", "organization"): 0}
    assert run(caller=BOB).status == 200


def test_the_candidates_of_a_multi_run_are_concurrent_until_it_has_ended() -> None:
    put(organization={"concurrent_runs": 4, "candidates_per_multi_run": 3})
    created = multi_run(3)
    assert created.status == 202
    assert multi_run(2).json["budget"] == "concurrent_runs"
    assert multi_run(4).json["detail"] == "The multi-run has 4 candidates. At most 3 are allowed."
    assert used()["concurrent_runs", "organization"] == 3
    send("POST", "multi_runs/cancel", f"{ORG}/multi-runs/{created.json['id']}/cancel", {})

    assert used()["concurrent_runs", "organization"] == 0
    assert multi_run(2).status == 202


def test_a_published_multi_run_is_concurrent_no_longer() -> None:
    put(organization={"concurrent_runs": 4})
    created = multi_run(3).json["id"]
    event = {"org_id": DEMO_ORG_ID, "multi_run_id": created}
    invoke(handlers.handler("multi_runs/publish"), event, Context())

    assert used()["concurrent_runs", "organization"] == 0


def test_a_multi_run_counts_with_all_runs_that_it_may_start() -> None:
    body = {"prompt": "x", "concurrency": 3}
    runs = send("POST", "multi_runs/estimate", f"{ORG}/multi-runs/estimate", body).json["runs"]
    put(caller={"runs_per_day": runs + 3})
    assert multi_run(3).status == 202
    assert used() == {("runs_per_day", "caller"): runs}
    assert multi_run(3).status == 402
    assert multi_run(3, strategy="none").status == 202


def test_an_estimate_shows_the_refusal() -> None:
    put(caller={"candidates_per_multi_run": 2})
    body = {"prompt": "x", "concurrency": 3}
    estimated = send("POST", "multi_runs/estimate", f"{ORG}/multi-runs/estimate", body)

    assert [each["code"] for each in estimated.json["refusals"]] == ["budget_exhausted"]


def test_what_was_not_started_is_given_back(fake: FakeCodegen, deployed: Template) -> None:
    put(caller={"runs_per_day": 5, "concurrent_runs": 5})
    fake.trouble("create_agent_run", Trouble("error", status=402))
    assert run().status == 402
    boto3.client("stepfunctions").delete_state_machine(
        stateMachineArn=deployed.state_machines["MultiRunStateMachine"].arn
    )
    assert multi_run(3, strategy="none").status >= 500

    assert used() == {("runs_per_day", "caller"): 0, ("concurrent_runs", "caller"): 0}


def test_a_count_whose_answer_was_lost_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client repeats the write, whose condition no longer holds."""
    put(caller={"runs_per_day": 5})
    write = Table.put

    def write_twice(table: Table, *args: Any) -> None:
        write(table, *args)
        if "runs_of_day" in args[0]:
            write(table, *args)

    monkeypatch.setattr(Table, "put", write_twice)
    assert run().status == 200

    assert used() == {("runs_per_day", "caller"): 1}


def test_what_may_have_been_started_stays_counted(fake: FakeCodegen) -> None:
    put(caller={"runs_per_day": 5})
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    assert run().status >= 500

    assert used() == {("runs_per_day", "caller"): 1}


def test_runs_are_started_while_budgets_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    put(caller={"runs_per_day": 0})

    class Unavailable:
        def get(self, org_id: int) -> Budgets:
            raise StorageUnavailable

    monkeypatch.setitem(current().__dict__, "budgets", Unavailable())
    with spending.for_run(org_id=DEMO_ORG_ID, caller=ADA, backend=current()) as spent:
        assert spent.need is None


def test_a_budget_that_is_used_to_80_percent_is_an_event_and_a_warning_once() -> None:
    put(organization={"runs_per_day": 5})
    answers = [run().json for _ in range(5)]
    warned = [[each["code"] for each in answer.get("warnings", [])] for answer in answers]
    events = [
        event.data for answer in answers for event in events_of(str(answer["id"])) if event.type == "budget.warning"
    ]

    assert [codes.count("budget_warning") for codes in warned] == [0, 0, 0, 1, 0]
    assert [(event["budget"], event["used"], event["limit"]) for event in events] == [("runs_per_day", 4, 5)]


def test_a_multi_run_that_uses_a_budget_to_80_percent_has_the_event() -> None:
    put(caller={"runs_per_month": 5})
    created = multi_run(4, strategy="none").json["id"]

    assert [event.type for event in events_of(created)] == ["multi_run.created", "budget.warning"]


def test_the_usage_report_shows_the_budgets() -> None:
    put(organization={"runs_per_day": 5})
    run()
    report = send("GET", "organizations/usage", f"{ORG}/usage").json

    assert [(use["budget"], use["used"], use["limit"]) for use in report["budgets"]] == [("runs_per_day", 1, 5)]


@dataclass
class Racing:
    """Budgets in memory. Other functions write between a read and a write, as often as planned."""

    budgets: Budgets
    others: list[Need]

    def get(self, org_id: int) -> Budgets:
        return self.budgets

    def put(self, org_id: int, budgets: Budgets) -> None:
        if self.others:
            need = self.others.pop()
            if counting.refusal(self.budgets, need) is None:
                self.budgets = counting.counted(self.budgets, need)
                self.budgets = self.budgets.model_copy(update={"rev": self.budgets.rev + 1})
        if budgets.rev != self.budgets.rev:
            raise ConditionFailed
        self.budgets = budgets.model_copy(update={"rev": budgets.rev + 1})


limits = st.builds(Limits, **{name: st.none() | st.integers(0, 8) for name in Limits.model_fields})
needs = st.builds(
    Need,
    caller=st.sampled_from(["user:1", "user:2", "user:3"]),
    key=st.sampled_from([f"mr-{number}" for number in range(12)]),
    runs=st.integers(0, 4),
    follow_ups=st.integers(0, 1),
    concurrent=st.integers(1, 3),
    candidates=st.integers(0, 3),
    until=st.just(2**53),
)


@given(limits, limits, st.lists(needs, max_size=12), st.lists(needs, max_size=12))
def test_no_budget_is_exceeded_whatever_other_functions_write_in_between(
    organization: Limits, caller: Limits, own: list[Need], others: list[Need]
) -> None:
    now = 1_800_000_000_000
    table = Racing(Budgets(organization=organization, caller=caller).at(now), others)
    taken: list[Need] = []
    for need in own:
        try:
            spent = spending.take(need, org_id=1, backend=Backend(budgets=table, clock=Fixed(now)))  # type: ignore[arg-type]
        except BudgetExhausted:
            continue
        taken += [need] if spent.need else []

    final = table.budgets
    for who in ("user:1", "user:2", "user:3"):
        assert all(use.used <= use.limit for use in counting.uses(final, who))
    assert sum(final.runs_of_day.values()) >= sum(need.runs for need in taken)


@dataclass(frozen=True)
class Fixed:
    """A clock that stands still, in milliseconds."""

    at: int

    def now(self) -> float:
        return self.at / 1000

    def sleep(self, seconds: float) -> None: ...


@pytest.mark.full
def test_runs_at_the_same_time_do_not_exceed_a_budget_together() -> None:
    put(organization={"runs_per_day": 3})
    need = Need(caller="user:789", key="x", runs=1)
    work = current()

    def take(number: int) -> bool:
        try:
            spending.take(need, org_id=DEMO_ORG_ID, backend=work)
        except BudgetExhausted:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(12))) == 3
    assert json.loads(json.dumps(read()))["used"][0]["used"] == 3
