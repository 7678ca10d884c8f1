"""What happens to a followed run, step by step: each function takes a watch and returns the next one with its events.

Nothing here reads a clock or a table: `now` is in epoch seconds, and the caller stores the change. What the logs of a
run change is in `poller.observation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from codegen_api import AgentRun, CodegenAPIError
from codegen_runs import prompts
from codegen_runs.clock import milliseconds
from codegen_runs.events import Event, Writer, shorten
from codegen_runs.problems import Problem
from codegen_runs.prompts import Prompt
from codegen_runs.redaction import redact
from codegen_runs.runs.schedule import (
    ADOPTION_INTERVAL,
    HOLD,
    LOOKS,
    SHORTEST_HOLD,
    VIEW_SECONDS,
    is_urgent,
    launch_interval,
    next_look_at,
    read_interval,
    retry_interval,
)
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import Checkpoint
from codegen_runs.storage.runs import Cancel, Watch

if TYPE_CHECKING:
    from codegen_runs.storage.outages import Outage

# Seconds that Codegen has to confirm that it stopped a run.
CONFIRMATION_SECONDS = 600

# Seconds from a cancel to the first read of the run.
FIRST_READ = 2.0

# Seconds after which a launch that left no trace at Codegen is repeated.
LAUNCH_GRACE = 30.0

# DynamoDB limits an item to 400 KB, and a character can take 4 bytes; the prompts take their share.
MAX_RESULT_CHARACTERS = 60_000
MAX_PREVIEW_CHARACTERS = 500

Failed = CodegenAPIError | Problem
"""Why a call of the Codegen API had no result."""

QUEUE_ONLY = "queue_only"
"""The scope of every pause: it holds what would be sent to Codegen, but not an agent that already works there."""


class Change(NamedTuple):
    """A watch as it is to be stored, and the events and checkpoints to append in the same write."""

    watch: Watch
    events: Sequence[Event] = ()
    checkpoints: Sequence[Checkpoint] = ()


# --- launching ---


def launching(watch: Watch, *, now: float) -> Change:
    """Mark a queued run, before Codegen is asked to create it."""
    return _change(
        watch,
        now,
        status=Status.LAUNCHING,
        launching_since=milliseconds(now),
        quiet_polls=0,
        due_at=milliseconds(now + ADOPTION_INTERVAL),
    )


def launched(watch: Watch, run: AgentRun, *, now: float, at_least: float, viewed: bool) -> Change:
    """Record the run that Codegen created for a launch.

    Args:
        watch: The run as it was before.
        run: The run at Codegen.
        now: The time in epoch seconds.
        at_least: The shortest interval, in seconds, at which the run may be read.
        viewed: Whether a viewer is connected already.
    """
    watch = watch.model_copy(update={"quiet_polls": 0})
    if viewed:
        watch = watch.model_copy(update={"viewed_until": milliseconds(now + VIEW_SECONDS)})
    wait = 0 if watch.cancel else read_interval(watch, now=now, at_least=at_least)
    writer = Writer(watch.position, run_id=run.id, now=now)
    writer.add("run.started", {"turn": watch.turn, "upstream_status": run.status, "web_url": run.web_url})
    return _change(
        watch,
        now,
        writer,
        status=Status.RUNNING,
        agent_run_id=run.id,
        upstream_status=run.status,
        status_reason=None,
        web_url=run.web_url,
        prompts=prompts.kept(watch.prompts),
        launch=None,
        failures=0,
        outage_since=None,
        due_at=milliseconds(now + wait),
    )


def requeued(watch: Watch, error: Failed, *, now: float) -> Change:
    """Return a run to its place in the launch queue, because Codegen accepts no launches now."""
    return _change(
        watch,
        now,
        status=Status.QUEUED,
        launching_since=None,
        failures=watch.failures + 1,
        status_reason=_unreachable(error),
        due_at=watch.deadline_at,
    )


def launch_failed(watch: Watch, error: Failed, *, now: float) -> Change:
    """Hold a run whose launch failed: it returns to the launch queue after a while, behind the runs that wait then."""
    return _change(
        watch,
        now,
        status=Status.QUEUED,
        launching_since=None,
        status_reason=_unreachable(error),
        **_hold(watch, now),
    )


def launch_refused(watch: Watch, error: Failed, *, now: float) -> Change:
    """End a run that Codegen refused to create."""
    reason = f"The Codegen API refused the run: {error.summary}"
    return ended(watch.model_copy(update={"launching_since": None}), Status.FAILED, reason=reason, now=now)


def returned(watch: Watch, *, now: float) -> Change:
    """Return a run that was held to the launch queue."""
    return _change(watch, now, held_until=None, queued_at=milliseconds(now), due_at=watch.deadline_at)


def not_adopted(watch: Watch, *, now: float) -> Change:
    """Record that no run at Codegen carries the id of a launch: search again, or after a grace period launch again.

    Both the number of searches and the time must suffice, because the launch may have been written by a function whose
    clock is behind.
    """
    searches, waited = watch.quiet_polls + 1, milliseconds(now) - (watch.launching_since or 0)
    if searches < LAUNCH_GRACE / ADOPTION_INTERVAL or waited < LAUNCH_GRACE * 1000:
        due_at = milliseconds(now + ADOPTION_INTERVAL)
        return _change(watch, now, quiet_polls=searches, outage_since=None, due_at=due_at)
    changes = _hold(watch, now)
    if watch.cancel or watch.paused_at:
        changes["due_at"] = milliseconds(now)
    return _change(watch, now, status=Status.QUEUED, launching_since=None, quiet_polls=0, outage_since=None, **changes)


# --- trying later ---


def postponed(watch: Watch, due_at: int | None, *, now: float) -> Change:
    """Leave a run as it is until `due_at`; None: for good."""
    return _change(watch, now, due_at=due_at)


def retried_later(watch: Watch, error: Failed, *, now: float, viewed_until: int | None) -> Change:
    """Record that Codegen could not be reached about a run, and try again after a while.

    Args:
        watch: The run.
        error: What happened.
        now: The time in epoch seconds.
        viewed_until: Until when somebody watches the run, in epoch milliseconds.
    """
    watch = watch.model_copy(update={"viewed_until": viewed_until})
    return _change(
        watch,
        now,
        failures=watch.failures + 1,
        outage_since=None,
        status_reason=watch.status_reason if watch.status.terminal else _unreachable(error),
        due_at=milliseconds(now + retry_interval(watch.failures, urgent=is_urgent(watch, now=now))),
    )


def held(watch: Watch, outage: Outage, *, now: float, viewed_until: int | None) -> Change:
    """Leave a run alone during an outage of Codegen, and continue soon after its end if somebody waits for the run.

    The failures of the run before were those of the outage.

    Args:
        watch: The run.
        outage: The outage.
        now: The time in epoch seconds.
        viewed_until: Until when somebody watches the run, in epoch milliseconds.
    """
    watch = watch.model_copy(update={"viewed_until": viewed_until})
    next_probe = max(outage.probe_at, milliseconds(now + SHORTEST_HOLD))
    # A run that nobody waits for is held longer once, and then until the next probe, so that its turn for one comes.
    is_brief = is_urgent(watch, now=now) or watch.outage_since == outage.since
    changes: dict[str, Any] = {"due_at": next_probe if is_brief else milliseconds(now + HOLD)}
    if watch.status.terminal:
        return _change(watch, now, **changes)
    return _change(
        watch,
        now,
        failures=0,
        outage_since=outage.since,
        status_reason=f"Could not reach the Codegen API: {outage.reason}",
        **changes,
    )


# --- cancelling ---


def cancelled(watch: Watch, cancel: Cancel | None, *, now: float) -> Change:
    """End a run that Codegen never received, or that left no trace there."""
    reason = f": {cancel.reason}" if cancel and cancel.reason else "."
    return ended(
        watch.model_copy(update={"cancel": cancel, "paused_at": None}),
        Status.CANCELLED,
        reason=f"The run was cancelled before it was launched{reason}",
        now=now,
    )


def cancel_requested(watch: Watch, cancel: Cancel, *, now: float) -> Change:
    """Record a cancel during a launch; the poller carries it out once it knows whether the run exists."""
    writer = _writer(watch, now)
    if watch.cancel is None:
        _requested(writer, watch, cancel)
    return _change(watch, now, writer, cancel=cancel)


def cancelling(watch: Watch, cancel: Cancel, *, now: float) -> Change:
    """Mark a run before Codegen is asked to stop it, with the time until which Codegen has to confirm."""
    writer = _writer(watch, now)
    if watch.cancel is None:
        _requested(writer, watch, cancel)
    return _change(
        watch,
        now,
        writer,
        status=Status.CANCELLING,
        cancel=cancel,
        cancel_deadline_at=milliseconds(now + CONFIRMATION_SECONDS),
        due_at=milliseconds(now + FIRST_READ),
    )


def cancel_postponed(watch: Watch, status: Status, due_at: int, *, now: float) -> Change:
    """Return a run whose ban met the rate limit to the status that it had, and try the cancel again at `due_at`."""
    return _change(watch, now, status=status, cancel_deadline_at=None, due_at=due_at)


def ban_outcome_unknown(error: Exception) -> bool:
    """Return whether a ban that failed may have taken effect, because its answer was lost.

    If so, the run stays `cancelling` until its logs show the effect or the time to confirm is over.
    """
    return isinstance(error, CodegenAPIError) and error.effect_unknown


def ban_refused(watch: Watch, status: Status, error: Failed, *, now: float) -> Change:
    """Give a cancel up because Codegen refused the ban: the run goes on in `status`."""
    return cancel_unconfirmed(watch, status, f"The Codegen API refused to stop the run: {error.summary}", now=now)


def cancel_unconfirmed(
    watch: Watch, status: Status, reason: str, *, now: float, writer: Writer | None = None
) -> Change:
    """Give a cancel up: the run goes on in `status`, and may be cancelled again."""
    writer = writer or _writer(watch, now)
    writer.add(
        "run.cancel_unconfirmed",
        {"turn": watch.turn, "upstream_status": watch.upstream_status, "reason": reason},
    )
    return _change(watch, now, writer, status=status, cancel=None, cancel_deadline_at=None)


# --- pausing ---


def paused(watch: Watch, *, now: float) -> Change:
    """Hold what would be sent to Codegen. A run that waits for its launch waits until its deadline at most."""
    writer = _writer(watch, now)
    changes: dict[str, Any] = {"paused_at": watch.paused_at or milliseconds(now)}
    if watch.unlaunched:
        changes |= {"status": Status.PAUSED, "due_at": watch.deadline_at}
    status = changes.get("status", watch.status)
    if watch.paused_at is None or status is not watch.status:
        _status_changed(writer, watch, status, paused_scope=QUEUE_ONLY)
    return _change(watch, now, writer, **changes)


def unpaused(watch: Watch, *, now: float) -> Change:
    """Let what was held go on."""
    writer = _writer(watch, now)
    changes: dict[str, Any] = {"paused_at": None}
    if watch.unlaunched:
        changes |= {"status": Status.QUEUED, "due_at": milliseconds(now)}
    if not watch.status.terminal:
        _status_changed(writer, watch, changes.get("status", watch.status), paused_scope=None)
    return _change(watch, now, writer, **changes)


# --- prompts ---


def prompted(watch: Watch, prompt: Prompt) -> Change:
    """Record a prompt that was sent to a run in its current turn."""
    told = prompts.following(watch.prompts, prompt.model_copy(update={"turn": watch.turn}))
    return Change(watch.model_copy(update={"prompts": told}))


def reopened(watch: Watch, prompt: Prompt | None, *, deadline: float, now: float) -> Change:
    """Begin the next turn of a run that had ended, with the prompt that began it if that is known."""
    following = watch.model_copy(
        update={
            "status": Status.UNKNOWN,
            "status_reason": None,
            "turn": watch.turn + 1,
            "turn_since": milliseconds(now),
            "result": None,
            "result_truncated": False,
            "finished_at": None,
            "deadline_at": milliseconds(deadline),
            "due_at": milliseconds(now),
            "quiet_polls": 0,
            "failures": 0,
            "outage_since": None,
            "cancel": None,
            "cancel_deadline_at": None,
            "looks_left": 0,
            "look_at": None,
        }
    )
    return prompted(following, prompt) if prompt else Change(following)


# --- the end ---


def ended(
    watch: Watch,
    status: Status,
    *,
    now: float,
    reason: str | None = None,
    result: str | None = None,
    summary: str | None = None,
    writer: Writer | None = None,
) -> Change:
    """End a run's turn with its one terminal event.

    Args:
        watch: The run.
        status: The terminal status.
        now: The time in epoch seconds.
        reason: Why it ended, for people, where that is not the agent's own result.
        result: The agent's answer.
        summary: The agent's summary of what it did.
        writer: Takes the event; it holds the events that come before it in the same write.
    """
    writer = writer or _writer(watch, now)
    kept, truncated = shorten(result, MAX_RESULT_CHARACTERS)
    writer.ended(
        status,
        {
            "turn": watch.turn,
            "status": status,
            "upstream_status": watch.upstream_status,
            "reason": reason,
            "result_preview": _preview(result),
            "summary": _preview(summary),
        },
    )
    # Nobody needs late outputs in the log of an internal run: its multi-run has used the answer.
    looks = len(LOOKS) if watch.agent_run_id is not None and not watch.is_internal else 0
    ended_now = {"status": status, "finished_at": milliseconds(now), "looks_left": looks, "look_at": None}
    watch = watch.model_copy(update=ended_now)
    return _change(
        watch,
        now,
        writer,
        status_reason=reason,
        result=kept,
        result_truncated=truncated,
        summary=redact(_preview(summary)),
        launch=None,
        failures=0,
        outage_since=None,
        due_at=milliseconds(now) if watch.task_token else next_look_at(watch),
    )


def unawaited(watch: Watch, *, now: float) -> Change:
    """Record that the state machine no longer waits for a run, which continues. The poller completes its task next."""
    # A launch that is under way is left alone as long as its answer may come.
    wait = ADOPTION_INTERVAL if watch.status is Status.LAUNCHING else 0
    return _change(watch, now, unawaited=True, due_at=milliseconds(now + wait))


def let_go(watch: Watch, *, now: float) -> Change:
    """Forget the task token of a run that continues, once its state machine has received that it does not wait."""
    return _change(watch, now, task_token=None, earlier_tokens=(), due_at=milliseconds(now))


def released(watch: Watch, *, now: float) -> Change:
    """Forget the task token of a run that has ended, once its state machine has received the outcome."""
    return _change(watch, now, task_token=None, earlier_tokens=(), due_at=next_look_at(watch))


def looked(watch: Watch, look_at: int | None, *, now: float, writer: Writer | None = None, **changes: Any) -> Change:
    """Record how far the log of a run that has ended was compared: up to `look_at`, or for None to its end."""
    if look_at is not None:
        return _change(
            watch, now, writer, look_at=look_at, failures=0, outage_since=None, due_at=milliseconds(now), **changes
        )
    watch = watch.model_copy(update={"looks_left": max(0, watch.looks_left - 1)})
    return _change(
        watch, now, writer, look_at=None, failures=0, outage_since=None, due_at=next_look_at(watch), **changes
    )


def late_result(watch: Watch, result: str, writer: Writer) -> dict[str, Any]:
    """Return the changes to a run that has ended without a result and has one now, and append their event."""
    kept, truncated = shorten(result, MAX_RESULT_CHARACTERS)
    writer.add(
        "run.status_changed",
        {
            "from": watch.status,
            "to": watch.status,
            "upstream_status": watch.upstream_status,
            "result_preview": _preview(result),
        },
    )
    return {"result": kept, "result_truncated": truncated}


def closed(watch: Watch, *, now: float) -> Change:
    """Give up looking at the log of a run that has ended."""
    watch = watch.model_copy(update={"looks_left": 0})
    return _change(watch, now, look_at=None, due_at=next_look_at(watch))


def read_after_cancel(watch: Watch, run: AgentRun | None, *, now: float) -> Change:
    """Record how Codegen reports a cancelled run some time later; None where that could not be read.

    The run stays cancelled, whatever Codegen reports.
    """
    settled: dict[str, Any] = {"cancel_deadline_at": None, "due_at": None}
    writer = _writer(watch, now)
    if run is not None and run.status != watch.upstream_status:
        result, truncated = shorten(run.result, MAX_RESULT_CHARACTERS)
        settled |= {"upstream_status": run.status, "result": result, "result_truncated": truncated}
        writer.add(
            "run.status_changed",
            {
                "from": watch.status,
                "to": watch.status,
                "upstream_status": run.status,
                "result_preview": _preview(run.result),
            },
        )
    return _change(watch, now, writer, **settled)


def _requested(writer: Writer, watch: Watch, cancel: Cancel) -> None:
    writer.add(
        "run.cancel_requested",
        {
            "turn": watch.turn,
            "means": "pr_ban" if cancel.allow_pr_ban else "local",
            "reason": cancel.reason,
            "requested_by": cancel.requested_by,
        },
    )


def _status_changed(writer: Writer, watch: Watch, status: Status, *, paused_scope: str | None) -> None:
    writer.add(
        "run.status_changed",
        {
            "from": watch.shown_status,
            "to": watch.shown_status if status is watch.status else status,
            "upstream_status": watch.upstream_status,
            "paused_scope": paused_scope,
        },
    )


def _hold(watch: Watch, now: float) -> dict[str, Any]:
    held_until = milliseconds(now + launch_interval(watch.failures))
    return {"failures": watch.failures + 1, "held_until": held_until, "due_at": min(held_until, watch.deadline_at)}


def _unreachable(error: Failed) -> str:
    return f"Could not reach the Codegen API: {error.summary}"


def _preview(text: str | None) -> str | None:
    return shorten(text, MAX_PREVIEW_CHARACTERS)[0]


def _writer(watch: Watch, now: float) -> Writer:
    return Writer(watch.position, run_id=watch.agent_run_id, now=now)


def _change(watch: Watch, now: float, writer: Writer | None = None, **changes: Any) -> Change:
    following = watch.model_copy(update={"updated_at": milliseconds(now)} | changes)
    return Change(following.at(writer.position), writer.events) if writer else Change(following)
