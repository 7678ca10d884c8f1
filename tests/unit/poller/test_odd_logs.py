"""Logs with values of another type than the documented one: each entry has its event, and the run its true status."""

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from codegen_api import AgentRun, AgentRunLogs, InvalidResponseError, Page
from codegen_runs.poller import launching
from codegen_runs.poller.observation import Observation
from codegen_runs.runs.transitions import Change
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from tests.unit.poller.test_observation import MS, NOW, answer, details, log, watch


def observe(before: Watch, read: AgentRunLogs) -> Change:
    return Observation(before, read, now=NOW).change(None, viewed_until=None, at_least=0)


@pytest.mark.parametrize(
    "odd",
    [
        log(1, tool_output=42),
        log(1, tool_output=True),
        log(1, thought={"a": 1}),
        log(1, tool_name=7),
        log(1, tool_name=["create_pr"]),
        log(1, message_type={"type": "PLAN_EVALUATION"}),
        log(1, created_at=[2025]),
        log(1, created_at="0001-01-01T00:00:00+14:00"),
        log(1, agent_run_id="x"),
        {},
        None,
        [1],
        42,
        "text",
    ],
)
def test_an_odd_entry_is_an_event_and_the_run_has_its_true_status(odd: Any) -> None:
    change = observe(watch(), answer(log(0), odd, log(2), status="COMPLETE", result="Done."))

    assert [event.type for event in change.events] == [
        *["run.log"] * 3, "checkpoint.created", "run.completed"
    ]  # fmt: skip
    kept = change.events[1].data["log"]
    assert (kept.get("raw", odd) if not isinstance(odd, dict) else {**kept, **odd}) == (
        kept if isinstance(odd, dict) else odd
    )
    assert change.events[2].data["log"]["thought"] == "Hm."
    assert (change.watch.status, change.watch.result) == (Status.COMPLETED, "Done.")


def test_an_odd_entry_that_has_not_changed_has_one_event() -> None:
    first = observe(watch(), answer(log(0), {"thought": 5}))
    second = observe(first.watch, answer({"thought": 5}, total=2))

    assert (len(first.events), second.events) == (2, [])


@pytest.mark.parametrize("logs", [None, "x", {}, 3])
def test_a_log_that_cannot_be_read_leaves_the_events_and_shows_the_status(logs: Any) -> None:
    seen = observe(watch(), answer(log(0), log(1))).watch
    read = AgentRunLogs.model_validate({"id": 7, "organization_id": 123, "status": "FAILED", "logs": logs})

    change = observe(seen, read)

    assert [event.type for event in change.events] == ["checkpoint.created", "run.failed"]
    assert (change.watch.epoch, change.watch.log_count) == (0, 2)


@pytest.mark.parametrize("pull_request", [None, 3, "x", {"id": "one"}, {"title": "Fix"}])
def test_an_odd_pull_request_hides_no_other_one(pull_request: Any) -> None:
    run = details(5).model_dump(mode="json")
    run["github_pull_requests"].insert(0, pull_request)
    read = type(details()).model_validate(run)
    observation = Observation(watch(), answer(log(0), status="COMPLETE"), now=NOW)

    change = observation.change(read, viewed_until=None, at_least=0)

    opened = [event.data["pull_request"] for event in change.events if event.type == "run.pr_opened"]
    assert [each.get("id") for each in opened][1] == 5
    assert change.watch.status is Status.COMPLETED


def test_a_pull_request_that_is_listed_twice_is_opened_once() -> None:
    run = details(5, 6).model_dump(mode="json")
    run["github_pull_requests"] += run["github_pull_requests"]
    read = type(details()).model_validate(run)

    change = Observation(watch(), answer(log(0)), now=NOW).change(read, viewed_until=None, at_least=0)

    opened = [event.data["pull_request"]["id"] for event in change.events if event.type == "run.pr_opened"]
    assert opened == [5, 6]
    assert change.watch.pull_requests == (5, 6)


class Lists:
    """A Codegen whose list of runs is the same each time."""

    def __init__(self, items: Any) -> None:
        self.codegen = self.runs = self
        self._items = items

    def call(self, _: Watch) -> AbstractContextManager[None]:
        """Make a call."""
        return nullcontext()

    def list(self, **_: Any) -> SimpleNamespace:
        """Return the list."""
        page = {"items": self._items, "total": 1, "page": 1, "size": 1, "pages": 1}
        return SimpleNamespace(first=Page[AgentRun].model_validate(page))


def test_a_lost_launch_is_not_repeated_while_the_list_of_runs_cannot_be_read() -> None:
    with pytest.raises(InvalidResponseError):
        launching.adopt(watch(agent_run_id=None, launching_since=MS), Lists(None))  # type: ignore[arg-type]


@pytest.mark.parametrize("run_id", [None, "x", [], 2**70])
def test_a_lost_launch_is_not_settled_while_the_id_of_its_run_cannot_be_read(run_id: Any) -> None:
    lost = watch(agent_run_id=None, launching_since=MS)
    listed = {"id": run_id, "organization_id": 123, "metadata": {"client_run_id": lost.key}}

    with pytest.raises(InvalidResponseError, match="id"):
        launching.adopt(lost, Lists([listed]))  # type: ignore[arg-type]
