"""How many of its candidates a multi-run still waits for, as the poller knows it."""

from typing import Any

import pytest

from codegen_runs.backend import Backend
from codegen_runs.poller.candidates import RecordedCandidates, share_left
from codegen_runs.poller.publisher import NoViewers
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Drop
from codegen_runs.storage.runs import Watch
from local.fake_codegen import Script
from tests.support import backend
from tests.support.events import current
from tests.unit.multi_runs.flow import ORG, Runs, create, task
from tests.unit.multi_runs.records import multi_run, watch_of

pytestmark = pytest.mark.usefixtures("state_machine")


class Reads:
    """A multi-runs table that counts its reads."""

    def __init__(self) -> None:
        self.count = 0

    def get(self, org_id: int, multi_run_id: str) -> Any:
        self.count += 1
        return current().multi_runs.get(org_id, multi_run_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(current().multi_runs, name)


@pytest.fixture
def reads() -> Reads:
    return Reads()


@pytest.fixture
def candidates(reads: Any, clock: backend.TestClock) -> RecordedCandidates:
    tables = Backend(clock=clock, kick=backend.Kicks(), multi_runs=reads, runs=current().runs)
    return RecordedCandidates(tables, NoViewers())


def planned(size: int = 4) -> str:
    multi_run_id = str(create({"prompt": "Say hello.", "concurrency": size}).json["id"])
    task("plan", multi_run_id)
    return multi_run_id


def watch(multi_run_id: str, index: int, clock: backend.TestClock) -> Watch:
    """Return a candidate that was launched a second ago."""
    found = watch_of(f"{multi_run_id}-{index}", Status.COMPLETED, "Hello.", multi_run_id=multi_run_id)
    return found.model_copy(update={"launching_since": int((clock.now() - 1) * 1000)})


def test_each_end_reduces_the_share_that_is_left(candidates: RecordedCandidates, clock: backend.TestClock) -> None:
    multi_run_id = planned()
    shares = []
    for index in range(4):
        shares.append(candidates.left(watch(multi_run_id, 3, clock)))
        candidates.ended(watch(multi_run_id, index, clock))

    assert shares == [1.0, 0.75, 0.5, 0.25]


def test_a_new_tick_reads_the_record_once(
    candidates: RecordedCandidates, reads: Reads, clock: backend.TestClock
) -> None:
    multi_run_id = planned()
    for index in range(3):
        RecordedCandidates(current(), NoViewers()).ended(watch(multi_run_id, index, clock))

    assert [candidates.left(watch(multi_run_id, 3, clock)) for _ in range(3)] == [0.25] * 3
    assert reads.count == 1


def test_a_candidate_that_is_launched_later_has_the_record_read_again(
    candidates: RecordedCandidates, reads: Reads, clock: backend.TestClock
) -> None:
    """It belongs to the next wave, of which none has ended."""
    multi_run_id = planned()
    for index in range(3):
        candidates.ended(watch(multi_run_id, index, clock))
    before = reads.count
    clock.sleep(5)

    assert candidates.left(watch(multi_run_id, 3, clock)) == 0.25
    assert reads.count == before + 1


def test_the_share_is_that_of_the_last_wave_without_dropped_candidates() -> None:
    record = multi_run(
        waves=[[0, 1], [2, 3, 4, 5]], launched=list(range(6)), outcomes={"0": True, "1": True, "2": True}
    )
    dropped = {"3": Drop(at=1, reason="Not needed.")}

    assert share_left(record) == 0.75
    assert share_left(record.model_copy(update={"dropped": dropped})) == pytest.approx(2 / 3)
    assert share_left(record.model_copy(update={"waves": []})) == 1.0


def test_a_run_of_an_unknown_multi_run_is_not_hurried(candidates: RecordedCandidates, clock: backend.TestClock) -> None:
    assert candidates.left(watch("mr-of-nobody", 0, clock)) == 1.0


def test_the_poller_reads_the_last_candidate_more_often(upstream: Runs) -> None:
    for seconds in (2, 2, 2, 40):
        upstream.fake.script(Script(seconds=seconds, steps=40, pull_request=False))
    multi_run_id = str(create({"prompt": "Say hello.", "concurrency": 4}).json["id"])
    upstream.ticks, upstream.seconds = 1, 12
    upstream.launch(multi_run_id)
    before = upstream.fake.calls["get_agent_run_logs"]
    upstream.seconds = 8
    upstream.follow()

    assert current().runs.get(ORG, f"{multi_run_id}-3").status is Status.RUNNING  # type: ignore[union-attr]
    # Without that it is read every four seconds: four runs share the limit of one call a second.
    assert upstream.fake.calls["get_agent_run_logs"] - before >= 6
