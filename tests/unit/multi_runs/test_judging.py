"""Which candidates are usable, and whether they are enough for an answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs import judging
from codegen_runs.searching import folded
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import Variant
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
        (Status.CANCELLED, "Use a", "The run ended with status cancelled (CANCELLED)."),
    ],
)
def test_only_a_completed_answer_that_does_not_repeat_the_prompt_is_usable(
    status: Status, result: str | None, reason: str | None
) -> None:
    candidate = judged((status, result), prompt="Fix the race").candidates[0]

    assert candidate.usable is (reason is None)
    assert candidate.reason == reason


@pytest.mark.parametrize(
    ("prompt", "answer", "echo"),
    [
        ("a" * 100, "a" * 100 + " " + "b" * 8, True),
        ("a" * 100, "a" * 100 + " " + "b" * 9, False),
        ("a" * 100, "a" * 100 + " " + "b" * 99, False),
        ("a" * 100, "b" * 100 + " " + "c" * 5, False),
        ("a" * 105, "a" * 105 + " " + "b" * 9, False),
        ("a" * 127, "a" * 127 + " bb", True),
        ("Fix it.", "Fix it now.", False),
        ("Fix it.", "fix, IT!", True),
        ("???", "Use a lock.", False),
        ("Corrige le r\u00e9sum\u00e9.", "corrige le re\u0301sume\u0301", True),
        ("Corrige le r\u00e9sum\u00e9.", "corrige le resume", False),
    ],
)
def test_an_answer_that_adds_less_than_a_tenth_to_the_prompt_repeats_it(prompt: str, answer: str, echo: bool) -> None:
    assert judging.is_echo(answer, prompt) is echo


def plainly(text: str) -> str:
    return re.sub(r"\W+", " ", folded(text)).strip()


@given(
    prompt=st.text("aB \u00e9\u0301\u1100\u1161-", max_size=60),
    before=st.sampled_from(["", "> ", " " * 3_000, "x " * 40]),
    after=st.sampled_from(["", "!", "z" * 5, " " * 3_000, "z " * 2_000, "e" + "\u0301" * 3_000]),
)
def test_a_long_answer_is_compared_with_the_prompt_as_a_short_one(prompt: str, before: str, after: str) -> None:
    answer = f"{before}{prompt}{after}"
    answered, prompted = plainly(answer), plainly(prompt)
    contained = bool(prompted) and prompted in answered and len(answered) - len(prompted) < len(prompted) // 10

    assert judging.is_echo(answer, prompt) is (answered == prompted or contained)


def test_at_its_deadline_a_multi_run_fails_only_if_it_is_to() -> None:
    in_time = (Status.COMPLETED, "Use a lock.")
    late = (Status.TIMED_OUT, None)

    def shortfall(**settings: object) -> str | None:
        record = multi_run(candidates=[Variant()] * 3, **settings)
        return judging.shortfall(record, judged(in_time, late, late, **settings))

    assert shortfall() is None
    assert shortfall(on_deadline="fail") == "Candidates without a result at the deadline: 2, 3."
    assert shortfall(on_deadline="fail", deadline_at=3_600_001) is None  # Their own timeout was earlier.
    assert str(shortfall(on_deadline="fail", quorum=2)).startswith("Usable candidates: 1, required: 2.")


def test_the_reason_of_a_failed_candidate_is_that_of_its_run() -> None:
    record = multi_run(candidates=[Variant()])
    watch = watch_of(record.candidate_key(0), Status.TIMED_OUT, status_reason="The run reached its deadline.")

    assert judging.judge(record, {watch.key: watch}).candidates[0].reason == "The run reached its deadline."


def test_a_candidate_with_a_prompt_of_its_own_must_not_repeat_that_prompt() -> None:
    record = multi_run(candidates=[Variant(prompt="Fix the lock."), Variant()])
    watches = [watch_of(record.candidate_key(index), Status.COMPLETED, "Fix the lock.") for index in range(2)]
    judgement = judging.judge(record, {watch.key: watch for watch in watches})

    assert [candidate.usable for candidate in judgement.candidates] == [False, True]


def test_a_running_candidate_has_no_reason_yet() -> None:
    candidate = judged((Status.RUNNING, None)).candidates[0]

    assert not candidate.finished
    assert candidate.reason is None


def test_candidates_are_counted_by_their_state() -> None:
    counts = judged(
        (Status.COMPLETED, "Use a lock."),
        (Status.COMPLETED, ""),
        (Status.FAILED, None),
        (Status.RUNNING, None),
        *[(Status.QUEUED, None)] * 3,
    ).counts()

    assert counts == {
        "requested": 7,
        "launched": 4,
        "finished": 3,
        "usable": 1,
        "failed": 2,
        "missing": 4,
        "dropped": 0,
    }


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
        "Usable candidates: 1, required: 2. Candidate 2: The run ended with status failed (FAILED). "
        "Candidate 3: no result in time."
    )


@pytest.mark.parametrize(("quorum", "enough"), [(1, True), (2, True), (3, False)])
def test_the_quorum_is_met_by_as_many_usable_candidates(quorum: int, enough: bool) -> None:
    outcomes = [(Status.COMPLETED, "Use a lock."), (Status.COMPLETED, "Use a queue."), (Status.FAILED, None)]
    record = multi_run(quorum=quorum)

    assert (judging.shortfall(record, judged(*outcomes, quorum=quorum)) is None) is enough


def test_the_best_answer_has_the_median_length() -> None:
    judgement = judged(*((Status.COMPLETED, "x" * length) for length in (100, 15, 16, 20, 2)), (Status.FAILED, None))

    assert [candidate.index for candidate in judgement.best(5)] == [2, 1, 3, 4, 0]
    assert [candidate.index for candidate in judgement.best(2)] == [2, 1]


def test_of_equally_good_answers_the_first_is_the_best() -> None:
    assert [found.index for found in judged(*[(Status.COMPLETED, "Use it.")] * 3).best(2)] == [0, 1]


def test_without_a_usable_answer_there_is_no_best_one() -> None:
    assert judged((Status.FAILED, None)).best(1) == []
