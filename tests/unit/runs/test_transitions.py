"""What happens to a followed run, step by step."""

from typing import Any

import pytest

from codegen_api import AgentRun, PermissionDeniedError, ServerError
from codegen_runs.events import Writer
from codegen_runs.problems import CredentialsRefused
from codegen_runs.prompts import MAX_SHORTENED, Prompt
from codegen_runs.runs import transitions
from codegen_runs.runs.schedule import ADOPTION_INTERVAL, INTERVALS, RETRY_INTERVALS, VIEW_SECONDS, VIEWED_INTERVAL
from codegen_runs.runs.transitions import CONFIRMATION_SECONDS, FIRST_READ, LAUNCH_GRACE, Change
from codegen_runs.statuses import Status
from codegen_runs.storage.outages import Outage
from codegen_runs.storage.runs import Cancel, Launch, Watch

NOW = 1_750_000_000.0
MS = 1_750_000_000_000
BEFORE, DEADLINE = MS - 60_000, MS + 3_600_000
CANCEL = Cancel(requested_at=MS, requested_by="user:1", reason="Not needed.")
BAN = CANCEL.model_copy(update={"allow_pr_ban": True})
LOST = ServerError("Oops.", status_code=500, effect_unknown=True)
REFUSED = PermissionDeniedError("No.", status_code=403)


def watch(status: Status = Status.QUEUED, **changes: Any) -> Watch:
    times = {"created_at": BEFORE, "updated_at": BEFORE, "deadline_at": DEADLINE, "due_at": MS, "seq": 1}
    return Watch.model_validate({"org_id": 123, "key": "mr-1-0", "status": status} | times | changes)


def running(status: Status = Status.RUNNING, **changes: Any) -> Watch:
    return watch(status, **{"agent_run_id": 7, "upstream_status": "ACTIVE"} | changes)


def run(status: str = "ACTIVE", **more: Any) -> AgentRun:
    return AgentRun.model_validate({"id": 7, "organization_id": 123, "status": status} | more)


def changed(before: Watch, change: Change) -> dict[str, Any]:
    """Return what a change makes different, but for when it was made and the position in the log."""
    assert change.watch.updated_at == MS
    assert change.watch.seq == before.seq + len(change.events)
    assert [event.seq for event in change.events] == list(range(before.seq + 1, change.watch.seq + 1))
    old, new = before.model_dump(), change.watch.model_dump()
    return {name: new[name] for name in new if new[name] != old[name] and name not in ("updated_at", "seq")}


def told(change: Change) -> list[tuple[str, dict[str, Any]]]:
    return [(event.type, event.data) for event in change.events]


# --- launching ---


def test_a_launch_is_marked_before_it_is_requested() -> None:
    before = watch(quiet_polls=4)

    assert changed(before, transitions.launching(before, now=NOW)) == {
        "status": Status.LAUNCHING,
        "launching_since": MS,
        "quiet_polls": 0,
        "due_at": MS + ADOPTION_INTERVAL * 1000,
    }


def test_a_launched_run_is_read_soon() -> None:
    before = watch(Status.LAUNCHING, launch=Launch(), failures=2, status_reason="Could not reach.", quiet_polls=3)
    change = transitions.launched(before, run(web_url="u"), now=NOW, at_least=0, viewed=False)

    assert changed(before, change) == {
        "agent_run_id": 7,
        "status": Status.RUNNING,
        "upstream_status": "ACTIVE",
        "status_reason": None,
        "web_url": "u",
        "launch": None,
        "failures": 0,
        "quiet_polls": 0,
        "due_at": MS + INTERVALS[0] * 1000,
    }
    assert told(change) == [("run.started", {"turn": 1, "upstream_status": "ACTIVE", "web_url": "u"})]
    assert change.events[0].run_id == 7


@pytest.mark.parametrize(
    ("before", "at_least", "viewed", "wait"),
    [
        (watch(Status.LAUNCHING), 9, False, 9),
        (watch(Status.LAUNCHING), 0, True, VIEWED_INTERVAL),
        (watch(Status.LAUNCHING, cancel=CANCEL), 9, False, 0),
    ],
    ids=["within the limit", "viewed", "to be cancelled"],
)
def test_a_launched_run_is_read_at_once_only_to_cancel_it(
    before: Watch, at_least: float, viewed: bool, wait: float
) -> None:
    change = transitions.launched(before, run(), now=NOW, at_least=at_least, viewed=viewed)

    assert change.watch.due_at == MS + wait * 1000
    assert change.watch.viewed_until == (MS + VIEW_SECONDS * 1000 if viewed else None)


def test_the_prompts_of_a_launched_run_are_kept_within_limits() -> None:
    long = Prompt(text="x" * 99_999, at=MS)
    before = watch(Status.LAUNCHING, prompts=(long, long, long))
    kept = transitions.launched(before, run(), now=NOW, at_least=0, viewed=False).watch.prompts

    assert len(kept[1].text) == MAX_SHORTENED
    assert kept[1].truncated


def test_a_launch_that_failed_returns_to_the_queue() -> None:
    before = watch(Status.LAUNCHING, failures=1, launching_since=MS)
    change = transitions.requeued(before, CredentialsRefused("Refused."), now=NOW)

    assert changed(before, change) == {
        "status": Status.QUEUED,
        "launching_since": None,
        "failures": 2,
        "status_reason": "Could not reach the Codegen API: Refused.",
        "due_at": DEADLINE,
    }
    assert change.watch.rank is not None
    assert told(change) == []


def test_a_run_leaves_no_run_at_codegen_if_each_of_its_launches_is_known_to_have_failed() -> None:
    before = watch(Status.LAUNCHING, launching_since=MS)
    error = CredentialsRefused("Refused.")
    refused = transitions.launch_refused(before, error, now=NOW).watch
    failed = transitions.launch_failed(before, error, now=NOW).watch
    timed_out, lost = (
        transitions.ended(each, Status.TIMED_OUT, reason="Too late.", now=NOW).watch for each in (failed, before)
    )

    assert [each.left_no_run for each in (refused, failed, timed_out, lost)] == [True, False, True, False]


LAST_SEARCH = int(LAUNCH_GRACE / ADOPTION_INTERVAL) - 1
GRACE_MS = int(LAUNCH_GRACE * 1000)


@pytest.mark.parametrize(
    ("searches", "since"),
    [(0, MS - GRACE_MS), (LAST_SEARCH - 1, MS - GRACE_MS), (LAST_SEARCH, MS - GRACE_MS + 1), (LAST_SEARCH, MS + 5)],
)
def test_the_run_of_a_lost_launch_is_searched_for_until_both_time_and_searches_suffice(
    searches: int, since: int
) -> None:
    before = watch(Status.LAUNCHING, quiet_polls=searches, launching_since=since)

    assert changed(before, transitions.not_adopted(before, now=NOW)) == {
        "quiet_polls": searches + 1,
        "due_at": MS + ADOPTION_INTERVAL * 1000,
    }


@pytest.mark.parametrize(
    ("held", "due_at"), [({}, MS + 2_000), ({"cancel": CANCEL}, MS), ({"paused_at": MS}, MS)], ids=str
)
def test_a_launch_that_left_no_run_is_queued_again_or_held_or_cancelled(held: dict[str, Any], due_at: int) -> None:
    before = watch(Status.LAUNCHING, quiet_polls=LAST_SEARCH, launching_since=MS - GRACE_MS, due_at=BEFORE, **held)

    assert changed(before, transitions.not_adopted(before, now=NOW)) == {
        "status": Status.QUEUED,
        "launching_since": None,
        "quiet_polls": 0,
        "failures": 1,
        "held_until": MS + 2_000,
        "due_at": due_at,
    }


# --- trying later ---


def test_a_run_can_be_left_until_later_or_for_good() -> None:
    assert changed(watch(), transitions.postponed(watch(), MS + 5, now=NOW)) == {"due_at": MS + 5}
    assert changed(watch(), transitions.postponed(watch(), None, now=NOW)) == {"due_at": None}


@pytest.mark.parametrize("failures", [0, 1, 4, 99])
def test_after_each_failure_in_a_row_the_next_try_is_later(failures: int) -> None:
    before = running(failures=failures)
    wait = RETRY_INTERVALS[min(failures, len(RETRY_INTERVALS) - 1)]

    assert changed(before, transitions.retried_later(before, REFUSED, now=NOW, viewed_until=None)) == {
        "failures": failures + 1,
        "status_reason": "Could not reach the Codegen API: 403: No.",
        "due_at": MS + wait * 1000,
    }


@pytest.mark.parametrize("waited_for", [{"multi_run_id": "mr-1"}, {"viewed_until": MS + 1}])
def test_a_run_that_somebody_waits_for_is_tried_again_within_ten_seconds(waited_for: dict[str, Any]) -> None:
    before = running(failures=99, **waited_for)
    after = transitions.retried_later(before, REFUSED, now=NOW, viewed_until=before.viewed_until).watch

    assert after.due_at == MS + 10_000


OUTAGE = Outage(since=MS - 60_000, probes=9, probe_at=MS + 4000, reason="No answer.")


def test_a_run_is_held_during_an_outage_and_its_failures_are_those_of_the_outage() -> None:
    before = running(failures=3)
    after = transitions.held(before, OUTAGE, now=NOW, viewed_until=None)

    assert changed(before, after) == {
        "failures": 0,
        "outage_since": MS - 60_000,
        "status_reason": "Could not reach the Codegen API: No answer.",
        "due_at": MS + 30_000,
    }
    assert transitions.held(after.watch, OUTAGE, now=NOW, viewed_until=None).watch.due_at == MS + 4000


@pytest.mark.parametrize(("probe_at", "due_at"), [(MS + 4000, MS + 4000), (MS - 1, MS + 1000)])
@pytest.mark.parametrize("viewed_until", [None, MS + 1])
def test_a_run_that_somebody_waits_for_is_held_until_the_next_probe(
    probe_at: int, due_at: int, viewed_until: int | None
) -> None:
    before = running(multi_run_id=None if viewed_until else "mr-1")
    outage = OUTAGE.model_copy(update={"probe_at": probe_at})

    assert transitions.held(before, outage, now=NOW, viewed_until=viewed_until).watch.due_at == due_at


def test_a_run_that_has_ended_is_held_without_a_word_about_it() -> None:
    before = running(Status.COMPLETED, status_reason="As it was.", failures=1)
    after = transitions.held(before, OUTAGE, now=NOW, viewed_until=None)

    assert changed(before, after) == {"due_at": MS + 30_000}


# --- cancelling ---


@pytest.mark.parametrize(
    ("cancel", "reason"),
    [
        (CANCEL, "The run was cancelled before it was launched: Not needed."),
        (CANCEL.model_copy(update={"reason": None}), "The run was cancelled before it was launched."),
        (None, "The run was cancelled before it was launched."),
    ],
)
def test_a_run_that_was_never_launched_is_cancelled_at_once(cancel: Cancel | None, reason: str) -> None:
    before = watch(Status.PAUSED, paused_at=MS, launch=Launch())
    change = transitions.cancelled(before, cancel, now=NOW)

    assert changed(before, change) == {
        "status": Status.CANCELLED,
        "status_reason": reason,
        "finished_at": MS,
        "paused_at": None,
        "launch": None,
        "due_at": None,
    } | ({"cancel": cancel.model_dump()} if cancel else {})
    assert told(change) == [
        (
            "run.cancelled",
            {
                "turn": 1,
                "status": "cancelled",
                "upstream_status": None,
                "reason": reason,
                "result_preview": None,
                "summary": None,
            },
        )
    ]


def test_the_task_of_a_cancelled_run_is_completed_at_once() -> None:
    assert transitions.cancelled(watch(task_token="token", due_at=9), CANCEL, now=NOW).watch.due_at == MS


@pytest.mark.parametrize(("cancel", "means"), [(CANCEL, "local"), (BAN, "pr_ban")])
def test_a_cancel_during_a_launch_is_stored_and_has_one_event(cancel: Cancel, means: str) -> None:
    before = watch(Status.LAUNCHING)
    first = transitions.cancel_requested(before, cancel, now=NOW)
    second = transitions.cancel_requested(first.watch, BAN, now=NOW)

    requested = {"turn": 1, "means": means, "reason": "Not needed.", "requested_by": "user:1"}
    assert told(first) == [("run.cancel_requested", requested)]
    assert changed(before, first) == {"cancel": cancel.model_dump()}
    assert told(second) == []
    assert second.watch.cancel == BAN


def test_a_run_is_cancelling_until_codegen_confirms_or_the_time_is_over() -> None:
    before = running(due_at=DEADLINE)
    change = transitions.cancelling(before, BAN, now=NOW)

    assert changed(before, change) == {
        "status": Status.CANCELLING,
        "cancel": BAN.model_dump(),
        "cancel_deadline_at": MS + CONFIRMATION_SECONDS * 1000,
        "due_at": MS + FIRST_READ * 1000,
    }
    assert [event.type for event in change.events] == ["run.cancel_requested"]
    assert transitions.cancelling(running(cancel=BAN), BAN, now=NOW).events == []


CANCELLING = running(Status.CANCELLING, cancel=BAN, cancel_deadline_at=MS + 5)


def test_a_ban_that_met_the_limit_is_tried_again() -> None:
    assert changed(CANCELLING, transitions.cancel_postponed(CANCELLING, Status.RUNNING, MS + 7, now=NOW)) == {
        "status": Status.RUNNING,
        "cancel_deadline_at": None,
        "due_at": MS + 7,
    }


@pytest.mark.parametrize(
    ("error", "unknown"), [(LOST, True), (REFUSED, False), (CredentialsRefused("Refused."), False)], ids=type
)
def test_only_a_ban_whose_answer_was_lost_may_have_taken_effect(error: Exception, unknown: bool) -> None:
    assert transitions.ban_outcome_unknown(error) is unknown


@pytest.mark.parametrize(
    ("error", "words"), [(REFUSED, "403: No."), (CredentialsRefused("Refused."), "Refused.")], ids=["403", "token"]
)
def test_a_ban_that_codegen_refuses_ends_the_cancel_and_the_run_goes_on(error: Exception, words: str) -> None:
    change = transitions.ban_refused(CANCELLING, Status.UNKNOWN, error, now=NOW)

    assert changed(CANCELLING, change) == {"status": Status.UNKNOWN, "cancel": None, "cancel_deadline_at": None}
    reason = f"The Codegen API refused to stop the run: {words}"
    assert told(change) == [
        ("run.cancel_unconfirmed", {"turn": 1, "upstream_status": "ACTIVE", "reason": reason}),
    ]


# --- pausing ---


def paused_event(before: Status, after: Status, scope: str | None, word: str | None = None) -> tuple[str, Any]:
    data = {"from": before, "to": after, "upstream_status": word, "paused_scope": scope}
    return "run.status_changed", data


def test_a_queued_run_is_held_and_queued_again() -> None:
    before = watch()
    held = transitions.paused(before, now=NOW)
    freed = transitions.unpaused(held.watch, now=NOW)

    assert changed(before, held) == {"status": Status.PAUSED, "paused_at": MS, "due_at": DEADLINE}
    assert told(held) == [paused_event(Status.QUEUED, Status.PAUSED, "queue_only")]
    assert changed(held.watch, freed) == {"status": Status.QUEUED, "paused_at": None, "due_at": MS}
    assert told(freed) == [paused_event(Status.PAUSED, Status.QUEUED, None)]


def test_a_launched_run_keeps_its_status_while_follow_ups_are_held() -> None:
    held = transitions.paused(running(), now=NOW)
    freed = transitions.unpaused(held.watch, now=NOW)

    assert changed(running(), held) == {"paused_at": MS}
    assert told(held) == [paused_event(Status.RUNNING, Status.RUNNING, "queue_only", "ACTIVE")]
    assert changed(held.watch, freed) == {"paused_at": None}
    assert told(freed) == [paused_event(Status.RUNNING, Status.RUNNING, None, "ACTIVE")]


def test_a_run_that_was_paused_while_it_was_launched_is_held_once_it_is_back_in_the_queue() -> None:
    before = watch(paused_at=BEFORE)
    change = transitions.paused(before, now=NOW)

    assert changed(before, change) == {"status": Status.PAUSED, "due_at": DEADLINE}
    assert told(change) == [paused_event(Status.QUEUED, Status.PAUSED, "queue_only")]
    assert transitions.paused(change.watch, now=NOW).events == []


def test_a_run_that_has_ended_is_unpaused_without_an_event() -> None:
    change = transitions.unpaused(running(Status.COMPLETED, paused_at=BEFORE), now=NOW)

    assert (change.watch.paused_at, told(change)) == (None, [])


# --- prompts ---


def test_a_prompt_is_recorded_with_the_next_number_in_the_current_turn() -> None:
    before = running(turn=2, prompts=(Prompt(text="Go.", at=1),))
    change = transitions.prompted(before, Prompt(text="And test it.", at=MS, follow_up=True))

    assert [(each.number, each.turn, each.text) for each in change.watch.prompts] == [
        (1, 1, "Go."), (2, 2, "And test it.")
    ]  # fmt: skip
    assert change.watch.model_copy(update={"prompts": before.prompts}) == before


def test_the_next_turn_of_a_run_starts_without_the_state_of_the_last_one() -> None:
    before = running(
        Status.FAILED,
        status_reason="Gone.",
        result="Half of it.",
        result_truncated=True,
        finished_at=BEFORE,
        quiet_polls=4,
        failures=3,
        cancel=BAN,
        cancel_deadline_at=MS,
        due_at=None,
    )
    change = transitions.reopened(before, Prompt(text="Go on.", at=MS), deadline=NOW + 60, now=NOW)
    told = change.watch.prompts

    assert [(each.turn, each.text) for each in told] == [(2, "Go on.")]
    assert change.events == ()
    assert transitions.reopened(before, None, deadline=NOW + 60, now=NOW).watch == before.model_copy(
        update={
            "status": Status.UNKNOWN,
            "status_reason": None,
            "turn": 2,
            "turn_since": MS,
            "result": None,
            "result_truncated": False,
            "finished_at": None,
            "deadline_at": MS + 60_000,
            "due_at": MS,
            "quiet_polls": 0,
            "failures": 0,
            "outage_since": None,
            "cancel": None,
            "cancel_deadline_at": None,
            "looks_left": 0,
            "look_at": None,
        }
    )


# --- after the end ---


def test_a_late_result_is_kept_and_has_an_event_with_its_beginning() -> None:
    before = running(Status.COMPLETED)
    writer = Writer(before.position, run_id=7, now=NOW)

    assert transitions.late_result(before, "x" * 99_999, writer) == {
        "result": "x" * transitions.MAX_RESULT_CHARACTERS,
        "result_truncated": True,
    }
    assert [event.data["result_preview"] for event in writer.events] == ["x" * transitions.MAX_PREVIEW_CHARACTERS]


@pytest.mark.parametrize(("status", "due_at"), [(Status.CANCELLED, MS + 5), (Status.FAILED, None)])
def test_a_task_token_is_removed_when_the_task_is_completed(status: Status, due_at: int | None) -> None:
    before = running(status, task_token="token", cancel_deadline_at=MS + 5)

    assert changed(before, transitions.released(before, now=NOW)) == {"task_token": None, "due_at": due_at}


STOPPED = running(Status.CANCELLED, upstream_status="CANCELLED", cancel_deadline_at=MS)


@pytest.mark.parametrize("found", [None, run("CANCELLED")], ids=["could not be read", "still cancelled"])
def test_a_cancelled_run_that_shows_nothing_new_is_left_for_good(found: AgentRun | None) -> None:
    change = transitions.read_after_cancel(STOPPED, found, now=NOW)

    assert changed(STOPPED, change) == {"cancel_deadline_at": None, "due_at": None}
    assert told(change) == []


def test_a_cancelled_run_that_finished_anyway_stays_cancelled_and_gets_its_result() -> None:
    change = transitions.read_after_cancel(STOPPED, run("COMPLETE", result="x" * 99_999), now=NOW)

    assert changed(STOPPED, change) == {
        "upstream_status": "COMPLETE",
        "result": "x" * transitions.MAX_RESULT_CHARACTERS,
        "result_truncated": True,
        "cancel_deadline_at": None,
        "due_at": None,
    }
    preview = "x" * transitions.MAX_PREVIEW_CHARACTERS
    assert told(change) == [
        (
            "run.status_changed",
            {"from": "cancelled", "to": "cancelled", "upstream_status": "COMPLETE", "result_preview": preview},
        )
    ]
