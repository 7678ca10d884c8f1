"""Give the poller work: follow an upstream run, queue a new run, report a viewer, or withdraw a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codegen_runs import correlation, statuses
from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.events import Writer
from codegen_runs.prompts import Prompt, Source, following
from codegen_runs.runs.schedule import RING_INTERVAL, VIEW_SECONDS, VIEWED_INTERVAL
from codegen_runs.runs.transitions import QUEUE_ONLY, Change, cancelled, prompted, reopened, unawaited
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Cancel, Launch, RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed

# Seconds after which every run that is followed has ended here.
DEADLINE = 24 * 3600

# The most task tokens of one run that are kept. A state machine tries a task five times at most.
MOST_TOKENS = 5


def follow(
    *,
    org_id: int,
    agent_run_id: int,
    status: str | None,
    web_url: str | None = None,
    created_by: str | None = None,
    started_with: Launch | None = None,
    prompt: Prompt | None = None,
    backend: Backend,
) -> Watch:
    """Have the poller follow an upstream run. A run that has ended and received a follow-up begins its next turn.

    Args:
        org_id: The organization of the run.
        agent_run_id: The upstream's id.
        status: The upstream's status.
        web_url: The run's page at the upstream.
        created_by: The id of the caller who makes the poller follow the run.
        started_with: The options that the run was started with, if this deployment has just started it.
        prompt: The prompt that the run has just received; this function sets its number and turn.
        backend: The clock, the runs table and the poller's kick.

    Raises `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    started_with = started_with or Launch()
    while True:
        watch = runs.find(org_id, agent_run_id)
        if watch is None:
            watch = first_watch(org_id=org_id, agent_run_id=agent_run_id, status=status, now=now).model_copy(
                update={
                    "web_url": web_url,
                    "created_by": created_by,
                    "request_id": correlation.request_id(),
                    "prompts": following((), prompt) if prompt else (),
                    "repo_id": started_with.repo_id,
                    "model": started_with.model,
                    "agent_type": started_with.agent_type,
                }
            )
            if runs.add(watch):
                backend.kick()
                return watch
            continue
        try:
            if watch.status.terminal and (_follows_up(prompt) or not statuses.from_upstream(status).terminal):
                following_turn = reopened(watch, prompt, deadline=now + DEADLINE, now=now).watch
                continued = {"upstream_status": status, "request_id": correlation.request_id()}
                watch = runs.write(following_turn.model_copy(update=continued))
                backend.kick()
            elif prompt:
                watch = runs.write(*prompted(watch, prompt))
        except ConditionFailed:
            continue
        return watch


def warn_of_budgets(watch: Watch, warnings: Sequence[dict[str, Any]], *, backend: Backend) -> None:
    """Append events about budgets, given as their data, to the log of a run. Raises `StorageUnavailable`."""
    while warnings:
        writer = Writer(watch.position, run_id=watch.agent_run_id, now=backend.clock.now())
        for data in warnings:
            writer.add("budget.warning", data)
        try:
            backend.runs.write(watch.at(writer.position), writer.events)
        except ConditionFailed:
            watch = backend.runs.get(watch.org_id, watch.key) or watch
            continue
        return


def first_watch(*, org_id: int, agent_run_id: int, status: str | None, now: float) -> Watch:
    """Return the watch of an upstream run that nobody has followed so far. It is not stored."""
    return Watch(
        org_id=org_id,
        key=str(agent_run_id),
        agent_run_id=agent_run_id,
        status=Status.UNKNOWN,
        upstream_status=status,
        created_at=milliseconds(now),
        updated_at=milliseconds(now),
        deadline_at=milliseconds(now + DEADLINE),
        due_at=milliseconds(now),
    )


def enqueue(
    *,
    org_id: int,
    key: str,
    prompt: str,
    launch: Launch,
    task_token: str | None,
    multi_run_id: str,
    deadline: float,
    priority: int = 0,
    paused: bool = False,
    created_by: str | None = None,
    request_id: str | None = None,
    source: Source | None = None,
    backend: Backend,
) -> None:
    """Queue a run under a key of ours, which ends by `deadline` (epoch seconds).

    When the key is already queued, only the task token is added, if there is one. The run with the lowest priority
    is launched first; among equals, the oldest. A paused run waits until it is resumed. Raises `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    watch = Watch(
        org_id=org_id,
        key=key,
        status=Status.PAUSED if paused else Status.QUEUED,
        paused_at=milliseconds(now) if paused else None,
        created_by=created_by,
        request_id=request_id or correlation.request_id(),
        created_at=milliseconds(now),
        updated_at=milliseconds(now),
        prompts=(
            Prompt(
                turn=1, text=prompt, at=milliseconds(now), by=created_by, model=launch.model, source=dict(source or {})
            ),
        ),
        repo_id=launch.repo_id,
        model=launch.model,
        agent_type=launch.agent_type,
        launch=launch,
        multi_run_id=multi_run_id,
        task_token=task_token,
        priority=priority,
        deadline_at=milliseconds(deadline),
        due_at=milliseconds(deadline),
    )
    writer = Writer(watch.position, run_id=None, now=now)
    writer.add("run.queued", {"turn": watch.turn, "paused_scope": QUEUE_ONLY} if paused else {"turn": watch.turn})
    if not runs.add(watch.at(writer.position), writer.events) and task_token is not None:
        _renew_token(runs, org_id, key, task_token, now)
    backend.kick(watch)


def add_token(org_id: int, key: str, task_token: str, *, backend: Backend) -> bool:
    """Have the poller complete a task when a run has ended, or now if it has. Return whether there is such a run.

    Raises `StorageUnavailable`.
    """
    watch = _renew_token(backend.runs, org_id, key, task_token, backend.clock.now())
    if watch is not None and watch.status.terminal:
        backend.kick(watch)
    return watch is not None


def view(watch: Watch, *, backend: Backend) -> None:
    """Record that a run is being viewed, so that the poller polls it often.

    This writes once in half a minute, however many viewers there are. Raises `StorageUnavailable`.
    """
    now = backend.clock.now()
    if (
        watch.status.terminal
        or watch.due_at is None
        or (watch.viewed_until or 0) - milliseconds(now) > VIEW_SECONDS * 500
    ):
        return
    changes = {
        "viewed_until": milliseconds(now + VIEW_SECONDS),
        "due_at": min(watch.due_at, milliseconds(now + VIEWED_INTERVAL)),
    }
    try:
        backend.runs.write(watch.model_copy(update=changes))
    except ConditionFailed:
        return  # The poller or another viewer wrote at the same moment; the next view is recorded.
    backend.kick()


def ring(watch: Watch, *, backend: Backend) -> bool:
    """Have the poller read a run now, because Codegen says that it has ended. Return whether this moves its next poll.

    Of several rings within `RING_INTERVAL`, the first moves the next poll to now, and the others together move one poll
    to the end of the interval. Raises `StorageUnavailable`.
    """
    while True:
        now = milliseconds(backend.clock.now())
        at = max(now, (watch.rung_at or 0) + milliseconds(RING_INTERVAL))
        if watch.status.terminal or watch.agent_run_id is None or watch.due_at is None or watch.due_at <= at:
            return False
        try:
            backend.runs.write(watch.model_copy(update={"due_at": at, "rung_at": at}))
        except ConditionFailed:
            # The poller may have read the run before its end.
            if (again := backend.runs.get(watch.org_id, watch.key)) is None:
                return False
            watch = again
            continue
        backend.kick()
        return True


def withdraw(watch: Watch, *, cancel: Cancel | None = None, backend: Backend) -> Watch:
    """Cancel a run that is not launched; keep following a run that may exist upstream, without its state machine.

    The task token is dropped, so no state machine receives an answer. Return the run's new state. Raises
    `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    while watch.task_token or watch.unlaunched:
        without_token = watch.model_copy(
            update={"task_token": None, "earlier_tokens": (), "updated_at": milliseconds(now)}
        )
        change = cancelled(without_token, cancel, now=now) if watch.unlaunched else Change(without_token, ())
        try:
            return runs.write(*change)
        except ConditionFailed:
            watch = runs.get(watch.org_id, watch.key) or watch
    return watch


def leave(watch: Watch, cancel: Cancel, *, backend: Backend) -> Watch:
    """Cancel a run that is not launched; of any other run that has not ended, let its state machine not wait for it.

    The poller completes the task. Return the run's new state. Raises `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    while not watch.status.terminal and not watch.unawaited:
        change = cancelled(watch, cancel, now=now) if watch.unlaunched else unawaited(watch, now=now)
        try:
            return runs.write(*change)
        except ConditionFailed:
            watch = runs.get(watch.org_id, watch.key) or watch
    return watch


def _follows_up(prompt: Prompt | None) -> bool:
    """Whether a prompt is a follow-up: it begins the next turn, even if that turn has already ended upstream."""
    return prompt is not None and prompt.follow_up


def _renew_token(runs: RunsTable, org_id: int, key: str, task_token: str, now: float) -> Watch | None:
    """Add a task token to a run; return the run, if there is one.

    The earlier tokens stay: two tries of one task may run at once, and end in any order.
    """
    while watch := runs.get(org_id, key):
        earlier = tuple(token for token in watch.task_tokens if token != task_token)[: MOST_TOKENS - 1]
        changes: dict[str, Any] = {"task_token": task_token, "earlier_tokens": earlier}
        if watch.status.terminal or watch.unawaited:  # The task is over. Any other run is read when it is due.
            changes["due_at"] = milliseconds(now)
        try:
            return runs.write(watch.model_copy(update=changes))
        except ConditionFailed:
            continue
    return None
