"""Which candidates are usable, and whether they are enough for an answer."""

import pytest

from codegen_runs.multi_runs import judging
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Strategy, Variant
from tests.unit.multi_runs.records import multi_run, watch_of


def judged(*outcomes: tuple[Status, str | None], **settings: object) -> judging.Judgement:
    record = multi_run(candidates=[Variant() for _ in outcomes], **settings)
    watches = [watch_of(record.candidate_key(index), *outcome) for index, outcome in enumerate(outcomes)]
    return judging.judge(record, {watch.key: watch for watch in watches})


@pytest.mark.parametrize(
    ("status", "result", "reason"),
    [
        (Status.COMPLETED, "Use a lock.", None),
        (Status.COMPLETED, "", "The run completed without an answer."),
        (Status.COMPLETED, None, "The run completed without an answer."),
        (Status.COMPLETED, "   \n", "The run completed without an answer."),
        (Status.COMPLETED, "> FIX the race!\n", "The answer only repeats the prompt."),
        (Status.FAILED, "Use a lock.", "The run ended with status failed (FAILED)."),
        (Status.INCOMPLETE, "Use a", "The run ended with status incomplete (INCOMPLETE)."),
        (Status.TIMED_OUT, None, "The run ended with status timed_out (TIMED_OUT)."),
    ],
)
def test_only_a_completed_answer_that_does_not_repeat_the_prompt_is_usable(
    status: Status, result: str | None, reason: str | None
) -> None:
    candidate = judged((status, result), prompt="Fix the race").candidates[0]

    assert candidate.usable is (reason is None)
    assert candidate.reason == reason


def test_a_running_candidate_has_no_reason_yet() -> None:
    candidate = judged((Status.RUNNING, None)).candidates[0]

    assert not candidate.finished
    assert candidate.reason is None


def test_candidates_are_counted_by_their_state() -> None:
    counts = judged(
        (Status.COMPLETED, "Use a lock."), (Status.FAILED, None), (Status.RUNNING, None), (Status.QUEUED, None)
    ).counts()

    assert counts == {"requested": 4, "launched": 3, "finished": 2, "usable": 1, "failed": 1, "missing": 2}


def test_below_the_quorum_every_candidate_has_its_reason() -> None:
    record = multi_run(candidates=[Variant(), Variant(), Variant()], quorum=2)
    watches = {
        watch.key: watch
        for watch in (
            watch_of(record.candidate_key(0), Status.COMPLETED, "Use a lock."),
            watch_of(record.candidate_key(1), Status.FAILED, None),
        )
    }
    shortfall = judging.shortfall(record, judging.judge(record, watches))

    assert shortfall == (
        "Usable candidates: 1, required: 2. Candidate 1: The run ended with status failed (FAILED). "
        "Candidate 2: no result in time."
    )


@pytest.mark.parametrize(
    ("usable", "strategy", "needed"),
    [
        (2, Strategy.SYNTHESIZE, True),
        (2, Strategy.SELECT, True),
        (2, Strategy.NONE, False),
        (1, Strategy.SYNTHESIZE, False),
        (0, Strategy.SYNTHESIZE, False),
    ],
)
def test_a_synthesis_needs_several_answers_and_a_strategy_that_combines_them(
    usable: int, strategy: Strategy, needed: bool
) -> None:
    outcomes = [(Status.COMPLETED, f"Answer {n}.") for n in range(usable)] + [(Status.FAILED, None)]
    record = multi_run(candidates=[Variant() for _ in outcomes], strategy=strategy)

    assert judging.needs_synthesis(record, judged(*outcomes, strategy=strategy)) is needed


def test_the_best_answer_has_the_median_length() -> None:
    judgement = judged((Status.COMPLETED, "No."), (Status.COMPLETED, "Use a lock."), (Status.COMPLETED, "Well, " * 99))

    assert judgement.best(1)[0].index == 1
