"""What an answer to `logs` means for a run: each case by itself."""

from typing import Any

import pytest

from codegen_api import AgentRun, AgentRunLogs
from codegen_runs.poller.observation import (
    DESCRIBED_CHARACTERS,
    LOGS_PER_POLL,
    MOST_DESCRIBED,
    PULL_REQUESTS_PER_POLL,
    Look,
    Observation,
    ended,
)
from codegen_runs.prompts import Prompt
from codegen_runs.runs.schedule import INTERVALS, VIEWED_INTERVAL
from codegen_runs.runs.transitions import MAX_PREVIEW_CHARACTERS, MAX_RESULT_CHARACTERS, Change
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import Head
from codegen_runs.storage.runs import EVENTS_PER_WRITE, Cancel, Watch

NOW = 1_750_000_000.0
MS = 1_750_000_000_000
CANCEL = Cancel(requested_at=MS, requested_by="user:1", allow_pr_ban=True)
STARTED = Head(epoch=0, seq=1, hash="h", turn=1, prompt=1)


def watch(**changes: Any) -> Watch:
    """A run that was read before: its first checkpoint is made, and nothing is new."""
    times = {"created_at": MS - 60_000, "updated_at": MS - 60_000, "deadline_at": MS + 3_600_000, "due_at": MS}
    run = {"org_id": 123, "key": "7", "agent_run_id": 7, "status": Status.RUNNING, "upstream_status": "ACTIVE"}
    told = {"prompts": (Prompt(text="Fix the bug.", at=MS),), "checkpoint": STARTED, "seq": 1}
    return Watch.model_validate(run | times | told | changes)


def log(number: int, **more: Any) -> dict[str, Any]:
    created_at = f"2025-06-15 15:{number // 60 % 60:02d}:{number % 60:02d}.000000"
    return {"agent_run_id": 7, "created_at": created_at, "message_type": "ACTION", "thought": "Hm."} | more


def plan(number: int) -> dict[str, Any]:
    return log(number, message_type="PLAN_EVALUATION")


def opens(number: int) -> dict[str, Any]:
    return log(number, tool_name="create_pr", tool_output={"state": "open"})


def answer(*logs: dict[str, Any], status: str | None = "ACTIVE", total: int | None = None, **more: Any) -> AgentRunLogs:
    body = {"id": 7, "organization_id": 123, "status": status, "logs": list(logs)}
    body["total_logs"] = len(logs) if total is None else total
    return AgentRunLogs.model_validate(body | more)


def details(*pull_requests: int, **more: Any) -> AgentRun:
    shown = {"title": "Fix", "url": "u", "created_at": "2025-06-15 15:00:00.000000", "head_branch_name": "fix"}
    opened = [{"id": each, "state": "open"} | shown for each in pull_requests]
    return AgentRun.model_validate({"id": 7, "organization_id": 123, "github_pull_requests": opened} | more)


def observe(
    before: Watch,
    read: AgentRunLogs,
    run: AgentRun | None = None,
    *,
    viewed_until: int | None = None,
    at_least: float = 0,
) -> Change:
    return Observation(before, read, now=NOW).change(run, viewed_until=viewed_until, at_least=at_least)


def types(change: Change) -> list[str]:
    return [event.type for event in change.events]


# --- entries ---


def test_new_entries_become_events_and_move_the_position() -> None:
    change = observe(watch(), answer(log(0), log(1)))

    assert types(change) == ["run.log", "run.log"]
    assert [event.seq for event in change.events] == [2, 3]
    assert (change.watch.seq, change.watch.log_count, change.watch.quiet_polls) == (3, 2, 0)
    assert change.watch.last_log_at == change.watch.updated_at == MS
    assert change.watch.logged_at == 1_749_999_601_000  # as the second entry is dated


def test_a_read_without_news_changes_neither_log_nor_status() -> None:
    seen = observe(watch(), answer(log(0))).watch
    change = observe(seen, answer(log(0)))

    assert change.events == change.checkpoints == []
    assert (change.watch.quiet_polls, change.watch.last_log_at) == (1, seen.last_log_at)
    assert change.watch.position == seen.position


def test_an_undated_or_missing_entry_leaves_the_date_of_the_last_one() -> None:
    assert observe(watch(logged_at=5), answer(log(0, created_at=None))).watch.logged_at == 5
    assert observe(watch(logged_at=5), answer()).watch.logged_at == 5


def test_a_rewritten_history_is_read_again_at_once_in_a_new_epoch() -> None:
    seen = observe(watch(), answer(log(0))).watch
    change = observe(seen, answer(log(9)))

    assert types(change) == ["stream.reset"]
    assert (change.watch.epoch, change.watch.log_count, change.watch.due_at) == (1, 0, MS)


def test_a_read_clears_what_failed_before() -> None:
    change = observe(watch(failures=3, status_reason="Could not reach the Codegen API."), answer())

    assert (change.watch.failures, change.watch.status_reason) == (0, None)


def test_the_page_at_codegen_is_kept_until_there_is_another() -> None:
    assert observe(watch(web_url="a"), answer()).watch.web_url == "a"
    assert observe(watch(web_url="a"), answer(web_url="b")).watch.web_url == "b"


# --- reads that look back ---


def test_a_run_does_not_end_before_its_last_entries_were_compared() -> None:
    known = observe(watch(), answer(*map(log, range(70)))).watch
    read = answer(*map(log, range(60)), status="COMPLETE", total=70)
    looked_back = Observation(known, read, now=NOW, skip=0)

    assert not looked_back.needs_details
    change = looked_back.change(None, viewed_until=None, at_least=60)
    assert (types(change), change.watch.status, change.watch.due_at) == ([], Status.RUNNING, MS)
    assert change.watch.extra_reads == 1


def test_milestones_that_were_read_before_do_not_shorten_a_page() -> None:
    before = observe(
        observe(watch(), answer(*map(plan, range(4)), total=8)).watch, answer(plan(3), *map(plan, range(4, 8)))
    )
    seen = observe(before.watch, answer(plan(7), *map(log, range(8, 60)))).watch
    change = Observation(seen, answer(*map(plan, range(8)), *map(log, range(8, 62))), now=NOW, skip=0).change(
        None, viewed_until=None, at_least=0
    )

    assert types(change) == ["run.log", "run.log"]
    assert change.watch.log_count == 62


# --- looks ---


def test_a_look_leaves_the_result_of_a_cancelled_run_to_the_read_after_the_cancel() -> None:
    cancelled = watch(status=Status.CANCELLED, upstream_status="CANCELLED", finished_at=MS, looks_left=1)
    change = Look(cancelled, answer(status="COMPLETE", result="Done."), {}, now=NOW).change(None)

    assert (types(change), change.watch.result) == ([], None)


def test_a_total_that_is_too_high_does_not_keep_a_look_from_its_end() -> None:
    ended = watch(status=Status.COMPLETED, upstream_status="COMPLETE", finished_at=MS, looks_left=1)
    change = Look(ended, answer(status="COMPLETE", total=5), {}, now=NOW).change(None)

    assert (change.watch.looks_left, change.watch.due_at) == (0, None)


# --- the next read ---


def test_more_entries_are_read_at_once_before_the_status_is_applied() -> None:
    read = answer(*map(log, range(3)), total=9, status="COMPLETE")
    overdue = watch(deadline_at=MS, status=Status.UNKNOWN)
    change = observe(overdue, read, at_least=60)

    assert (change.watch.due_at, change.watch.status) == (MS, Status.UNKNOWN)
    assert set(types(change)) == {"run.log"}
    assert not Observation(overdue, read, now=NOW).needs_details


def test_without_a_total_the_log_is_read_until_nothing_is_new() -> None:
    uncounted = answer(log(0)).model_copy(update={"total_logs": None})
    first = observe(watch(), uncounted)
    second = observe(first.watch, uncounted)

    assert [first.watch.due_at, second.watch.due_at] == [MS, MS + 2000]


@pytest.mark.parametrize("quiet", [0, 3, 8, 50])
def test_a_run_is_read_less_and_less_often_while_nothing_is_new(quiet: int) -> None:
    change = observe(watch(quiet_polls=quiet), answer())

    expected = INTERVALS[min(quiet + 1, len(INTERVALS) - 1)]
    assert (change.watch.due_at or 0) - MS == expected * 1000


def test_a_watched_run_is_read_often_and_all_runs_together_keep_to_the_limit() -> None:
    def wait(**more: Any) -> float:
        return ((observe(watch(quiet_polls=50), answer(), **more).watch.due_at or 0) - MS) / 1000

    assert wait(viewed_until=MS + 1) == VIEWED_INTERVAL
    assert wait(viewed_until=MS) == INTERVALS[-1]
    assert wait(viewed_until=MS + 1, at_least=17) == 17
    assert wait(at_least=99) == 99


def test_the_time_until_which_a_run_is_watched_is_stored() -> None:
    assert observe(watch(viewed_until=MS), answer(), viewed_until=MS + 5).watch.viewed_until == MS + 5
    assert observe(watch(viewed_until=MS), answer()).watch.viewed_until is None


# --- status ---


@pytest.mark.parametrize(
    ("before", "word", "event", "after"),
    [
        (Status.UNKNOWN, "ACTIVE", "run.started", Status.RUNNING),
        (Status.QUEUED, "ACTIVE", "run.started", Status.RUNNING),
        (Status.PAUSED, "ACTIVE", "run.status_changed", Status.RUNNING),
        (Status.RUNNING, "PENDING", "run.status_changed", Status.QUEUED),
        (Status.RUNNING, "EVALUATION", "run.status_changed", Status.RUNNING),
        (Status.RUNNING, "PONDERING", "run.status_changed", Status.UNKNOWN),
        (Status.RUNNING, None, "run.status_changed", Status.UNKNOWN),
    ],
)
def test_a_change_of_status_is_an_event(before: Status, word: str | None, event: str, after: Status) -> None:
    change = observe(watch(status=before), answer(status=word))

    assert types(change) == [event]
    assert (change.watch.status, change.watch.upstream_status) == (after, word)


@pytest.mark.parametrize(
    ("word", "status", "event"),
    [
        ("COMPLETE", Status.COMPLETED, "run.completed"),
        ("OUT_OF_TOKENS", Status.INCOMPLETE, "run.incomplete"),
        ("ERROR", Status.FAILED, "run.failed"),
        ("STOPPED", Status.CANCELLED, "run.cancelled"),
        ("TIMEOUT", Status.TIMED_OUT, "run.timed_out"),
    ],
)
def test_a_terminal_status_ends_the_turn_after_its_last_entry(word: str, status: Status, event: str) -> None:
    change = observe(watch(), answer(log(0), status=word, result="Done."), details(summary="Fixed."))

    assert types(change) == ["run.log", "checkpoint.created", event]
    assert change.events[-1].data == {
        "turn": 1,
        "status": status,
        "upstream_status": word,
        "reason": None,
        "result_preview": "Done.",
        "summary": "Fixed.",
    }
    assert (change.watch.status, change.watch.result, change.watch.finished_at) == (status, "Done.", MS)
    assert (change.watch.due_at, change.watch.looks_left) == (MS + 15_000, 2)
    assert [(made.reason, made.answer) for made in change.checkpoints] == [("end", "Done.")]


def test_a_long_result_is_cut_in_the_watch_and_shown_by_its_beginning_in_the_event() -> None:
    change = observe(watch(), answer(status="COMPLETE", result="x" * 99_999), details(summary="y" * 999))

    assert (len(change.watch.result or ""), change.watch.result_truncated) == (MAX_RESULT_CHARACTERS, True)
    shown = change.events[-1].data
    assert (len(shown["result_preview"]), len(shown["summary"])) == (MAX_PREVIEW_CHARACTERS,) * 2


def test_an_end_whose_details_could_not_be_read_has_no_summary() -> None:
    assert observe(watch(), answer(status="COMPLETE")).events[-1].data["summary"] is None


def test_the_task_of_a_run_that_has_ended_is_completed_at_once() -> None:
    assert observe(watch(task_token="token"), answer(status="COMPLETE")).watch.due_at == MS


def test_a_run_past_its_deadline_is_timed_out_after_what_it_logged() -> None:
    change = observe(watch(deadline_at=MS), answer(log(0), status="EVALUATION"))

    assert types(change) == ["run.log", "run.status_changed", "checkpoint.created", "run.timed_out"]
    assert change.watch.status is Status.TIMED_OUT
    assert change.watch.status_reason == change.events[-1].data["reason"] == "The run did not end before its deadline."
    assert observe(watch(deadline_at=MS + 1), answer()).watch.status is Status.RUNNING


def test_a_run_that_ends_at_its_deadline_has_ended_as_codegen_reports_it() -> None:
    assert observe(watch(deadline_at=MS), answer(status="COMPLETE")).watch.status is Status.COMPLETED


# --- cancelling ---


def cancelling(**changes: Any) -> Watch:
    return watch(status=Status.CANCELLING, cancel=CANCEL, cancel_deadline_at=MS + 1, **changes)


def test_a_cancel_waits_until_it_is_confirmed_or_its_time_is_over() -> None:
    change = observe(cancelling(), answer(status="EVALUATION"))

    assert types(change) == []
    assert (change.watch.status, change.watch.cancel) == (Status.CANCELLING, CANCEL)


def test_a_cancel_that_is_not_confirmed_in_time_is_given_up_and_the_run_goes_on() -> None:
    change = observe(cancelling().model_copy(update={"cancel_deadline_at": MS}), answer(status="EVALUATION"))

    assert types(change) == ["run.cancel_unconfirmed"]
    assert change.events[0].data == {
        "turn": 1,
        "upstream_status": "EVALUATION",
        "reason": "The Codegen API did not confirm in time that the run was stopped.",
    }
    assert (change.watch.status, change.watch.cancel, change.watch.cancel_deadline_at) == (Status.RUNNING, None, None)


@pytest.mark.parametrize(("word", "status"), [("CANCELLED", Status.CANCELLED), ("COMPLETE", Status.COMPLETED)])
def test_a_cancelled_run_ends_as_codegen_reports_it(word: str, status: Status) -> None:
    change = observe(cancelling(), answer(status=word))

    assert change.watch.status is status
    assert change.watch.due_at == MS + 15_000


def test_a_run_past_its_deadline_is_timed_out_while_it_is_cancelled() -> None:
    assert types(observe(cancelling(deadline_at=MS), answer()))[-1] == "run.timed_out"


# --- pull requests ---


@pytest.mark.parametrize(
    ("read", "needed"),
    [
        (answer(), False),
        (answer(log(0)), False),
        (answer(plan(0)), False),
        (answer(opens(0)), True),
        (answer(log(0, message_type="FIX_PR_ERRORS")), True),
        (answer(status="COMPLETE"), True),
        (answer(opens(0), total=9), True),
    ],
)
def test_the_run_itself_is_read_when_a_pull_request_is_opened_and_at_the_end(read: AgentRunLogs, needed: bool) -> None:
    assert Observation(watch(), read, now=NOW).needs_details is needed


def test_an_entry_about_a_pull_request_that_was_read_before_needs_no_details_unless_it_was_filled_in() -> None:
    seen = observe(watch(), answer(opens(0)), details(1)).watch

    assert not Observation(seen, answer(opens(0)), now=NOW).needs_details
    assert Observation(seen, answer(opens(0) | {"observation": "Opened."}), now=NOW).needs_details


def test_each_pull_request_is_an_event_once_and_before_the_end() -> None:
    first = observe(watch(), answer(opens(0)), details(1))
    second = observe(first.watch, answer(opens(0), status="COMPLETE"), details(1, 2))

    assert types(first) == ["run.log", "checkpoint.created", "run.pr_opened"]
    assert types(second) == ["run.pr_opened", "checkpoint.created", "run.completed"]
    assert [each.data["pull_request"]["id"] for each in (first.events[-1], second.events[0])] == [1, 2]
    assert set(first.events[-1].data["pull_request"]) == {"id", "title", "url", "created_at", "head_branch_name"}
    assert second.watch.pull_requests == (1, 2)


def test_many_pull_requests_become_events_a_few_at_a_time() -> None:
    first = observe(watch(), answer(opens(0)), details(*range(6)))
    second = observe(first.watch, answer(opens(0), opens(1)), details(*range(6)))

    assert types(first).count("run.pr_opened") == PULL_REQUESTS_PER_POLL
    assert second.watch.pull_requests == (0, 1, 2, 3, 4, 5)


def test_a_watch_describes_its_pull_requests() -> None:
    shown = {"title": "t" * 900, "url": "https://github.com/works/shop/pull/31", "head_branch_name": "fix"}
    change = observe(watch(), answer(opens(0)), details(github_pull_requests=[{"id": 5} | shown]))

    (opened,) = change.watch.opened
    assert (opened.id, opened.number, opened.url, opened.branch_name) == (5, 31, shown["url"], "fix")
    assert opened.title == "t" * DESCRIBED_CHARACTERS


@pytest.mark.parametrize(
    "shown", [{"url": ["u"], "title": None, "head_branch_name": []}, {"url": "u" * 900, "head_branch_name": "b" * 900}]
)
def test_what_cannot_be_described_is_null(shown: dict[str, Any]) -> None:
    change = observe(watch(), answer(opens(0)), details(github_pull_requests=[{"id": 5} | shown]))

    (opened,) = change.watch.opened
    assert (opened.number, opened.url, opened.branch_name) == (None, None, None)


def test_a_watch_describes_a_limited_number_of_pull_requests() -> None:
    current = watch()
    for number in range(4):
        current = observe(current, answer(*map(opens, range(number + 1))), details(*range(14))).watch

    assert [each.id for each in current.opened] == list(range(MOST_DESCRIBED))
    assert len(current.pull_requests) > MOST_DESCRIBED


def test_the_summary_of_a_turn_is_kept_with_its_end() -> None:
    ended = observe(watch(), answer(status="COMPLETE"), details(summary="Fixed it with ghp_" + "a" * 30)).watch

    assert ended.summary == "Fixed it with [redacted]"


# --- checkpoints ---


def test_the_first_read_of_a_turn_and_each_milestone_make_checkpoints_at_their_place() -> None:
    change = observe(watch(checkpoint=None, seq=0), answer(log(0), plan(1), opens(2)))

    assert types(change) == ["checkpoint.created", *["run.log"] * 3, *["checkpoint.created"] * 2]
    assert [made.reason for made in change.checkpoints] == ["start", "plan", "pull_request"]
    assert change.watch.checkpoint is not None
    assert change.watch.checkpoint.seq == change.checkpoints[-1].seq


def test_the_largest_result_of_one_read_fits_one_write() -> None:
    before = watch(checkpoint=None, status=Status.CANCELLING, cancel=CANCEL, cancel_deadline_at=MS, deadline_at=MS)
    entries = [opens(number) if number >= LOGS_PER_POLL - 4 else log(number) for number in range(LOGS_PER_POLL)]
    change = observe(before, answer(*entries), details(*range(9)))

    assert len(change.checkpoints) == 6
    assert {"run.cancel_unconfirmed", "run.pr_opened", "run.timed_out"} < set(types(change))
    assert len(change.events) + len(change.checkpoints) == EVENTS_PER_WRITE


# --- other ends ---


def test_a_launched_run_that_is_ended_here_has_a_checkpoint_of_its_end() -> None:
    change = ended(watch(), Status.FAILED, "The Codegen API no longer knows this run.", now=NOW)

    assert types(change) == ["checkpoint.created", "run.failed"]
    assert [(made.reason, made.summary) for made in change.checkpoints] == [("end", change.watch.status_reason)]
    assert change.watch.checkpoint != STARTED


def test_a_launched_run_that_was_never_read_has_a_checkpoint_of_its_start_too() -> None:
    change = ended(watch(checkpoint=None), Status.FAILED, "Gone.", now=NOW)

    assert [made.reason for made in change.checkpoints] == ["start", "end"]


def test_a_run_that_was_never_launched_ends_without_a_checkpoint() -> None:
    change = ended(watch(agent_run_id=None, checkpoint=None), Status.TIMED_OUT, "Too late.", now=NOW)

    assert types(change) == ["run.timed_out"]
    assert change.checkpoints == ()
