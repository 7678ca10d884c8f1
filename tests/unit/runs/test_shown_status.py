"""The status of a run before it is read for the first time."""

import pytest

from codegen_api import CodegenAPI
from codegen_runs.backend import Backend
from codegen_runs.prompts import Prompt
from codegen_runs.runs import following, transitions
from codegen_runs.runs.snapshots import run_snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from tests.support.backend import Kicks, TestClock
from tests.support.memory import MemoryRuns

ORG, RUN = 123, 7


@pytest.fixture
def backend(clock: TestClock, codegen: CodegenAPI) -> Backend:
    return Backend(clock=clock, kick=Kicks(), runs=MemoryRuns(), codegen=codegen)


def follow(backend: Backend, status: str | None, prompt: Prompt | None = None) -> Watch:
    return following.follow(org_id=ORG, agent_run_id=RUN, status=status, prompt=prompt, backend=backend)


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("ACTIVE", Status.RUNNING),
        ("EVALUATION", Status.RUNNING),
        ("PENDING", Status.QUEUED),
        ("PAUSED", Status.PAUSED),
        ("PONDERING", Status.UNKNOWN),
        (None, Status.UNKNOWN),
        # It has ended, but its log has not been read yet.
        ("COMPLETE", Status.UNKNOWN),
    ],
)
def test_a_run_that_was_just_followed_has_the_status_that_codegen_reported(
    word: str | None, shown: Status, backend: Backend
) -> None:
    watch = follow(backend, word)

    assert run_snapshot(watch, now=backend.clock.now()).status is shown


@pytest.mark.parametrize(
    ("word", "shown"), [("ACTIVE", Status.RUNNING), ("PENDING", Status.QUEUED), ("COMPLETE", Status.QUEUED)]
)
def test_a_follow_up_waits_for_its_start_unless_codegen_reports_that_it_runs(
    word: str, shown: Status, backend: Backend
) -> None:
    ended = transitions.ended(follow(backend, "ACTIVE"), Status.COMPLETED, now=backend.clock.now()).watch
    backend.runs.write(ended.model_copy(update={"upstream_status": "COMPLETE"}))
    watch = follow(backend, word, Prompt(text="Go on.", at=0, follow_up=True))

    assert (watch.turn, watch.status) == (2, Status.UNKNOWN)
    assert run_snapshot(watch, now=backend.clock.now()).status is shown


def test_the_health_fits_the_status(backend: Backend) -> None:
    snapshot = run_snapshot(follow(backend, "PENDING"), now=backend.clock.now())

    assert snapshot.health_detail == "The run is waiting at Codegen for its start."


def test_an_early_pause_has_an_event_with_the_status_that_callers_see(backend: Backend) -> None:
    change = transitions.paused(follow(backend, "ACTIVE"), now=backend.clock.now())

    assert [(event.data["from"], event.data["to"]) for event in change.events] == [("running", "running")]
