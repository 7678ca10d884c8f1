"""What cancelling and pausing does to a watch, and which events tell it. Nothing here reads a clock or a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from codegen_runs.events import Event, Writer
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import Checkpoint
from codegen_runs.storage.runs import Cancel, Watch

# Seconds in which the upstream has to confirm that it stopped a run.
CONFIRMATION_SECONDS = 600

# Seconds until the poller looks whether it did.
FIRST_LOOK = 2.0

QUEUE_ONLY = "queue_only"
"""The scope of every pause: it holds what would be sent upstream, and not the agent that works there."""


class Change(NamedTuple):
    """A watch as it is to be stored, and the events and checkpoints to append with it."""

    watch: Watch
    events: Sequence[Event]
    checkpoints: Sequence[Checkpoint] = ()


def cancelled(watch: Watch, cancel: Cancel | None, *, now: float) -> Change:
    """End a run that the upstream has never heard of, or of which it shows no trace."""
    said = f": {cancel.reason}" if cancel and cancel.reason else "."
    reason = f"The run was cancelled before it was launched{said}"
    writer = _writer(watch, now)
    writer.ended(
        Status.CANCELLED,
        {
            "turn": watch.turn,
            "status": Status.CANCELLED,
            "upstream_status": None,
            "reason": reason,
            "result_preview": None,
            "summary": None,
        },
    )
    return _change(
        watch,
        writer,
        now,
        status=Status.CANCELLED,
        status_reason=reason,
        cancel=cancel,
        finished_at=_ms(now),
        launch=None,
        paused_at=None,
        due_at=_ms(now) if watch.task_token else None,
    )


def cancel_wished(watch: Watch, cancel: Cancel, *, now: float) -> Change:
    """Note a cancel while nobody knows whether the run exists; the poller carries it out once it knows."""
    writer = _writer(watch, now)
    if watch.cancel is None:
        _requested(writer, watch, cancel)
    return _change(watch, writer, now, cancel=cancel)


def cancelling(watch: Watch, cancel: Cancel, *, now: float) -> Change:
    """Note that the upstream is about to be asked to stop the run, and until when it has to confirm."""
    writer = _writer(watch, now)
    if watch.cancel is None:
        _requested(writer, watch, cancel)
    return _change(
        watch,
        writer,
        now,
        status=Status.CANCELLING,
        cancel=cancel,
        cancel_deadline_at=_ms(now + CONFIRMATION_SECONDS),
        due_at=_ms(now + FIRST_LOOK),
    )


def cancel_unconfirmed(watch: Watch, status: Status, reason: str, *, now: float) -> Change:
    """Give a cancel up: the run goes on in `status`, and may be cancelled again."""
    writer = _writer(watch, now)
    writer.add(
        "run.cancel_unconfirmed",
        {"turn": watch.turn, "upstream_status": watch.upstream_status, "reason": reason},
    )
    return _change(watch, writer, now, status=status, cancel=None, cancel_deadline_at=None)


def paused(watch: Watch, *, now: float) -> Change:
    """Hold what would be sent upstream. A run that waits for its launch waits until its deadline at the most."""
    writer = _writer(watch, now)
    changes: dict[str, Any] = {"paused_at": watch.paused_at or _ms(now)}
    if watch.unlaunched:
        changes |= {"status": Status.PAUSED, "due_at": watch.deadline_at}
    status = changes.get("status", watch.status)
    if watch.paused_at is None or status is not watch.status:
        _changed(writer, watch, status, paused_scope=QUEUE_ONLY)
    return _change(watch, writer, now, **changes)


def unpaused(watch: Watch, *, now: float) -> Change:
    """Let what was held go on."""
    writer = _writer(watch, now)
    changes: dict[str, Any] = {"paused_at": None}
    if watch.unlaunched:
        changes |= {"status": Status.QUEUED, "due_at": _ms(now)}
    if not watch.status.terminal:
        _changed(writer, watch, changes.get("status", watch.status), paused_scope=None)
    return _change(watch, writer, now, **changes)


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


def _changed(writer: Writer, watch: Watch, status: Status, *, paused_scope: str | None) -> None:
    told = {"from": watch.status, "to": status, "upstream_status": watch.upstream_status, "paused_scope": paused_scope}
    writer.add("run.status_changed", told)


def _writer(watch: Watch, now: float) -> Writer:
    return Writer(watch.position, run_id=watch.agent_run_id, now=now)


def _change(watch: Watch, writer: Writer, now: float, **changes: Any) -> Change:
    return Change(
        watch.model_copy(update={"updated_at": _ms(now)} | changes).at(writer.position),
        writer.events,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
