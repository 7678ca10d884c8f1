"""Which candidates the state machine launches when, and which it never launches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs import waves
from codegen_runs.multi_runs.judging import OVERDUE, judge
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Adaptive, Drop, MultiRun, Variant
from tests.unit.multi_runs.records import further, judged, multi_run, watch_of

NOW = 1_000.0
LOCK = "Take a lock around the whole read and write, so that no other thread sees the cache in between."
QUEUE = "Send every change through one queue to a single worker, which owns the cache and nobody else."
EVENT = "Publish an event for each change, and let all readers rebuild their own copies from these events."


def record(count: int = 5, **changes: Any) -> MultiRun:
    return multi_run(candidates=[Variant()] * count, deadline_at=3_600_000, **changes)


def test_a_state_machine_that_starts_launches_the_candidates_that_have_not_ended() -> None:
    found = record(3)
    ends = [watch_of(found.candidate_key(0), Status.FAILED), watch_of(found.candidate_key(1), Status.RUNNING)]

    assert waves.first(found, judge(found, {watch.key: watch for watch in ends})) == [1, 2]


def test_a_dropped_candidate_is_not_launched() -> None:
    found = record(3, dropped={"1": Drop(at=0, reason="No.")})

    assert waves.first(found, judged(found)) == [0, 2]


@pytest.mark.parametrize(
    ("adaptive", "quorum", "answers", "following"),
    [
        ((2, 2), 1, [LOCK, LOCK], []),
        ((2, 2), 1, [LOCK, QUEUE], [2]),
        ((2, 2), 1, [LOCK, QUEUE, LOCK], []),
        ((2, 2), 1, [LOCK, QUEUE, EVENT], [3]),
        ((3, 3), 1, [LOCK, QUEUE, EVENT], [3, 4]),
        ((2, 2), 4, [LOCK, LOCK], [2, 3]),
        ((2, 2), 1, [None, None], [2, 3]),
        ((2, 4), 1, [LOCK, QUEUE], [2, 3, 4]),
        ((1, 2), 1, [LOCK], [1]),
        ((2, 5), 1, [LOCK, LOCK, LOCK, LOCK, QUEUE], []),
    ],
)
def test_a_wave_has_as_many_candidates_as_could_make_enough_answers_agree(
    adaptive: tuple[int, int], quorum: int, answers: list[str | None], following: list[int]
) -> None:
    start, agree = adaptive
    found = record(adaptive=Adaptive(start=start, agree=agree), quorum=quorum)

    assert waves.first(found, judged(found)) == list(range(start))
    assert further(found, *answers) == following


def test_no_wave_begins_after_the_deadline() -> None:
    found = record(adaptive=Adaptive(start=2, agree=2))
    launched = found.model_copy(update={"launched": [0, 1]})

    assert further(found, LOCK, QUEUE, now=3_599.9) == [2]
    assert further(found, LOCK, QUEUE, now=3_600) == []
    assert waves.unneeded(launched, judged(launched, LOCK, QUEUE), now=3_600) == [([2, 3, 4], OVERDUE)]
    reason = "Not needed: 2 answers agree."
    assert waves.unneeded(launched, judged(launched, LOCK, LOCK), now=3_600) == [([2, 3, 4], reason)]


def test_a_candidate_that_a_caller_added_belongs_to_the_next_wave_whatever_the_answers_are() -> None:
    found = record(3, adaptive=Adaptive(start=2, agree=2))
    found = found.model_copy(update={"candidates": [*found.candidates, Variant(added=True)]})

    assert further(found, LOCK, LOCK) == [3]
    found = record(2)
    found = found.model_copy(update={"candidates": [*found.candidates, Variant(added=True)], "launched": [0, 1]})
    assert waves.further(found, judged(found, LOCK, None), now=NOW) == [2]


@given(
    answers=st.lists(st.sampled_from([LOCK, QUEUE, EVENT, None]), min_size=2, max_size=8),
    start=st.integers(1, 8),
    agree=st.integers(2, 8),
    quorum=st.integers(1, 8),
)
def test_waves_end_and_launch_each_candidate_at_most_once(
    answers: list[str | None], start: int, agree: int, quorum: int
) -> None:
    count = len(answers)
    adaptive = Adaptive(start=min(start, count), agree=min(agree, count))
    found = record(count, adaptive=adaptive, quorum=min(quorum, count))
    launched = waves.first(found, judged(found))
    while following := further(found, *answers[: len(launched)]):
        assert following[0] == len(launched)
        launched += following
    assert launched == list(range(len(launched)))

    ended = found.model_copy(update={"launched": launched})
    judgement = judged(ended, *answers[: len(launched)])
    unneeded = waves.unneeded(ended, judgement, now=NOW)
    assert [index for each in unneeded for index in each.candidates] == list(range(len(launched), count))
    assert all(each.reason.startswith("Not needed") for each in unneeded)
    assert not unneeded or len(judgement.usable) >= found.quorum
