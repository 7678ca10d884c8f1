"""Every event that the code can write has a schema, and an example that the code writes."""

import ast
import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from codegen_api import AgentRun, AgentRunLogs
from codegen_runs.backend import Backend
from codegen_runs.budgets.counting import Budget, BudgetUse
from codegen_runs.checkpoints.recorder import Recorder
from codegen_runs.events import Event, Position, Writer
from codegen_runs.live.entries import entry
from codegen_runs.multi_runs import transitions as changing
from codegen_runs.multi_runs.judging import judge
from codegen_runs.poller.observation import Observation
from codegen_runs.prompts import Prompt
from codegen_runs.runs import transitions
from codegen_runs.runs.following import enqueue, warn_of_budgets
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import (
    Answer,
    AnswerSource,
    GraftOutcome,
    JudgeRun,
    Pick,
    RankedCandidate,
    Ranking,
    Standing,
    Variant,
)
from codegen_runs.storage.runs import Cancel, Launch, Watch
from local import openapi, openapi_events
from local.fake_codegen import ManualClock
from tests.support.backend import Kicks, TestClock
from tests.support.memory import MemoryRuns
from tests.support.sources import ROOT
from tests.unit.multi_runs.records import multi_run

NOW = 1_790_000_000.0
LAYER = ROOT / "layers" / "codegen" / "codegen_runs"
RUN = {"id": 100005, "organization_id": 123, "status": "ACTIVE", "web_url": "https://codegen.com/agent/trace/100005"}
PROMPT = Prompt(number=1, turn=1, text="Explain how to test a cache", at=int(NOW * 1000), by="user:789")
LOG = {
    "agent_run_id": 100005,
    "created_at": "2026-09-21 14:13:20.000000",
    "message_type": "ACTION",
    "tool_name": "ripgrep_search",
    "tool_input": {"query": "cache"},
}


def watch(**changes: Any) -> Watch:
    """Return run 100005 at work."""
    fields: dict[str, Any] = {
        "org_id": 123,
        "key": "100005",
        "agent_run_id": 100005,
        "status": Status.RUNNING,
        "upstream_status": "ACTIVE",
        "created_by": "user:789",
        "created_at": int(NOW * 1000),
        "updated_at": int(NOW * 1000),
        "deadline_at": int(NOW * 1000) + 3_600_000,
        "prompts": (PROMPT,),
    }
    return Watch(**(fields | changes))


def logs(*entries: dict[str, Any]) -> AgentRunLogs:
    return AgentRunLogs.model_validate(RUN | {"logs": list(entries), "total_logs": len(entries)})


def multi_run_events() -> list[Event]:
    """Write one event of each type of a multi-run with the code that writes it."""
    record = multi_run(
        id="mr-1", prompt="Explain how to test a cache", candidates=[Variant()] * 3, quorum=2, created_by="user:789"
    )
    ends = [(Status.COMPLETED, "Use a clock."), (Status.FAILED, None), (Status.COMPLETED, "Inject the clock.")]
    watches = [
        watch(key=key, multi_run_id="mr-1", agent_run_id=100005 + index, status=status, result=result)
        for index, (key, (status, result)) in enumerate(zip(record.candidate_keys, ends, strict=True))
    ]
    judgement = judge(record, {watch.key: watch for watch in watches})
    answer = Answer(text="Inject a clock.", source=AnswerSource.SYNTHESIS)
    standing = Standing(order=[2, 0])
    places = [RankedCandidate(candidate=index, rank=rank) for rank, index in enumerate([2, 0], start=1)]
    ranking = Ranking(candidates=places, by_judges=True)
    pick = Pick(
        candidate=2, picked_by="user:789", picked_at=int(NOW * 1000), reason="It keeps the public names.", answer=answer
    )
    changes = [
        changing.created(record, now=NOW),
        changing.launching(record, [0, 1, 2], now=NOW),
        changing.candidates_ended(record, judgement.candidates, now=NOW),
        changing.gathered(record.model_copy(update={"seq": 4}), judgement, now=NOW),
        changing.candidate_added(record, Variant(model="claude-4-5-sonnet", added=True), by="user:789", now=NOW),
        changing.candidate_dropped(record, 1, by="user:789", reason="It went astray.", now=NOW),
        changing.judging(record, standing, [JudgeRun(number=1, order=[2, 0])], now=NOW),
        changing.judged(record, standing, ranking, now=NOW),
        changing.synthesizing(record, None, [2, 0], now=NOW),
        changing.synthesis_rejected(record, 1, "The output is a refusal.", is_last=False, now=NOW),
        changing.paused(record, now=NOW),
        changing.resumed(record.model_copy(update={"paused_at": 1}), now=NOW),
        changing.completed(record, answer, now=NOW),
        changing.failed(record, "Usable candidates: 1, required: 2.", now=NOW),
        changing.candidates_retried(record, {1: 2}, by="user:789", now=NOW),
        changing.resynthesizing(record, [0, 2], by="user:789", now=NOW),
        changing.picked(record, pick, now=NOW),
        changing.unpicked(record.model_copy(update={"pick": pick}), by="user:789", now=NOW),
        changing.pull_request_closed(record, 0, 9001, by="user:789", now=NOW),
        changing.pull_request_kept(record, 1, 9002, "It is merged.", now=NOW),
        changing.cancelled(record, by="user:789", reason="Not needed any more.", now=NOW),
        changing.grafted(
            record.model_copy(update={"answer": answer.model_copy(update={"candidate": 2})}),
            outcome=GraftOutcome.SENT,
            problem=None,
            now=NOW,
        ),
    ]
    return [event for change in changes if change for event in change.events]


@cache
def written() -> dict[str, dict[str, Any]]:
    """Write one event of each type with the code that writes it, and return them as viewers get them, by type."""
    entries, updated = Writer(Position(), run_id=100005, now=NOW), logs(LOG | {"tool_output": {"matches": 3}})
    entries.logs(logs(LOG))
    entries.logs(updated)
    entries.logs(logs(LOG | {"tool_name": "edit_file"}))
    queued = MemoryRuns()
    enqueue(
        org_id=123,
        key="mr-1-0",
        prompt="Explain how to test a cache",
        launch=Launch(),
        task_token="token",
        multi_run_id="mr-1",
        deadline=NOW + 3600,
        backend=Backend(clock=TestClock(ManualClock(datetime.fromtimestamp(NOW, UTC))), runs=queued, kick=Kicks()),
    )
    watched = MemoryRuns()
    watched.add(watch())
    use = BudgetUse(
        budget=Budget.RUNS_PER_DAY, scope="organization", limit=100, used=80, resets_at="2026-09-22T00:00:00.000Z"
    )
    backend = Backend(clock=TestClock(ManualClock(datetime.fromtimestamp(NOW, UTC))), runs=watched, kick=Kicks())
    warn_of_budgets(watch(), [use.model_dump(mode="json")], backend=backend)
    checkpoints = Writer(Position(), run_id=100005, now=NOW)
    Recorder(watch(), checkpoints, now=NOW).begin()
    pull_request = {"id": 7, "title": "Test the cache", "url": "https://github.com/example-works/shop/pull/7"}
    details = AgentRun.model_validate(RUN | {"github_pull_requests": [pull_request]})
    opened = Observation(watch(), logs(), now=NOW).change(details, viewed_until=None, at_least=2.0)
    cancel = Cancel(
        allow_pr_ban=True, reason="Not needed any more.", requested_by="user:789", requested_at=int(NOW * 1000)
    )
    ends = [
        transitions.ended(watch(), status, now=NOW, result="Use a clock that the test moves.", summary="Explained it.")
        for status in (Status.COMPLETED, Status.INCOMPLETE, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT)
    ]
    changes = [
        transitions.launched(watch(), AgentRun.model_validate(RUN), now=NOW, at_least=2.0, viewed=False),
        transitions.paused(watch(), now=NOW),
        transitions.cancelling(watch(), cancel, now=NOW),
        transitions.cancel_unconfirmed(watch(), Status.RUNNING, "Codegen did not confirm it in time.", now=NOW),
        opened,
        *ends,
    ]
    (warned,) = watched.log.values()
    events = [*entries.events, *queued.log[123, "mr-1-0"], *warned, *checkpoints.events]
    events += [event for change in changes for event in change.events]
    events += multi_run_events()
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        found.setdefault(event.type, entry(event, 123).model_dump(mode="json"))
    return found


def types_in(code: str) -> set[str]:
    """Return the types that code gives to the `add` of a writer, also by a variable."""
    tree, found = ast.parse(code), set()
    assigned = {ast.unparse(node.targets[0]): node.value for node in ast.walk(tree) if isinstance(node, ast.Assign)}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add"):
            continue
        receiver = ast.unparse(node.func.value)
        if "writer" not in receiver and not (receiver == "self" and "class Writer" in code):
            continue
        given = node.args[0].value if isinstance(node.args[0], ast.Subscript) else node.args[0]
        source = assigned.get(ast.unparse(given), given)
        names = {each.value for each in ast.walk(source) if isinstance(each, ast.Constant)}
        assert names, f"line {node.lineno} writes {ast.unparse(given)}: write the type of the event as a literal"
        found |= names
    return found


def test_each_type_that_the_code_can_write_has_a_schema_and_no_other() -> None:
    found = {type_ for file in sorted(LAYER.rglob("*.py")) for type_ in types_in(file.read_text("utf-8"))}

    assert found == openapi_events.TYPES.keys() == openapi_events.examples().keys()


@pytest.mark.parametrize("type_", openapi_events.TYPES)
def test_the_example_of_a_type_is_what_the_code_writes(type_: str) -> None:
    assert openapi_events.examples()[type_] == written()[type_]


@pytest.mark.parametrize("type_", openapi_events.TYPES)
def test_the_example_fits_its_schema(type_: str) -> None:
    assert openapi_events.fault(openapi_events.examples()[type_]) is None


@pytest.mark.parametrize(
    ("code", "types"),
    [
        ('writer.add("run.renamed", {})', {"run.renamed"}),
        ('self._writer.add("run.shared", {})', {"run.shared"}),
        ('kind = "run.moved"\nwriter.add(kind, {})', {"run.moved"}),
    ],
)
def test_a_new_type_is_found_in_the_code(code: str, types: set[str]) -> None:
    assert types_in(code) == types


def test_a_type_that_is_no_literal_is_refused() -> None:
    with pytest.raises(AssertionError, match="write the type of the event as a literal"):
        types_in("writer.add(name(event), {})")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"type": "run.renamed"}, "run.renamed has no schema"),
        ({"data": {"turn": 1, "upstream_status": "ACTIVE", "mood": "good"}}, "mood"),
        ({"data": {"turn": 0, "upstream_status": "ACTIVE"}}, "greater than or equal to 1"),
        ({"data": {}}, "Field required"),
    ],
)
def test_an_event_that_does_not_fit_its_schema_is_found(changes: dict[str, Any], fault: str) -> None:
    found = openapi_events.fault(openapi_events.examples()["run.started"] | changes)

    assert found is not None
    assert fault in found


def test_an_example_is_in_the_document() -> None:
    schemas = json.loads(openapi.DOCUMENT.read_text("utf-8"))["components"]["schemas"]
    mapping = schemas["EventEntry"]["discriminator"]["mapping"]

    shown = {type_: schemas[reference.rpartition("/")[2]]["examples"] for type_, reference in mapping.items()}
    assert shown == {type_: [example] for type_, example in openapi_events.examples().items()}


def test_the_page_has_a_section_for_every_type_in_the_order_of_the_schemas() -> None:
    assert list(openapi_events.examples()) == list(openapi_events.TYPES)
