"""Work for the poller: follow a run that exists, queue one that does not, report a viewer, or withdraw a run."""

from __future__ import annotations

from codegen_runs import statuses
from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.events import Writer
from codegen_runs.prompts import Prompt, Source, following
from codegen_runs.runs.schedule import VIEW_SECONDS, VIEWED_INTERVAL
from codegen_runs.runs.transitions import QUEUE_ONLY, Change, cancelled, prompted, reopened
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Cancel, Launch, RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed

# Nothing stays non-terminal for longer than this, in seconds.
DEADLINE = 24 * 3600


def follow(
    *,
    org_id: int,
    agent_run_id: int,
    status: str | None,
    web_url: str | None = None,
    created_by: str | None = None,
    asked: Launch | None = None,
    prompt: Prompt | None = None,
    backend: Backend,
) -> Watch:
    """Have the poller follow an upstream run; a run that has ended and got a follow-up begins its next turn.

    Args:
        org_id: Whose run it is.
        agent_run_id: The upstream's id.
        status: The upstream's word for how it stands.
        web_url: Its page at the upstream.
        created_by: Who asks.
        asked: What the run was started with, if that was here and now.
        prompt: What it has just been told; its number and turn are found here.
        backend: What to work with.

    Raises `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    asked = asked or Launch()
    while True:
        watch = runs.find(org_id, agent_run_id)
        if watch is None:
            watch = Watch(
                org_id=org_id,
                key=str(agent_run_id),
                agent_run_id=agent_run_id,
                status=Status.UNKNOWN,
                upstream_status=status,
                web_url=web_url,
                created_by=created_by,
                prompts=following((), prompt) if prompt else (),
                repo_id=asked.repo_id,
                model=asked.model,
                agent_type=asked.agent_type,
                created_at=milliseconds(now),
                updated_at=milliseconds(now),
                deadline_at=milliseconds(now + DEADLINE),
                due_at=milliseconds(now),
            )
            if runs.add(watch):
                backend.kick()
                return watch
            continue
        try:
            if watch.status.terminal and (_follows_up(prompt) or not statuses.from_upstream(status).terminal):
                watch = runs.write(*reopened(watch, prompt, deadline=now + DEADLINE, now=now))
                backend.kick()
            elif prompt:
                watch = runs.write(*prompted(watch, prompt))
        except ConditionFailed:
            continue
        return watch


def enqueue(
    *,
    org_id: int,
    key: str,
    prompt: str,
    launch: Launch,
    task_token: str,
    multi_run_id: str,
    deadline: float,
    priority: int = 0,
    paused: bool = False,
    created_by: str | None = None,
    source: Source | None = None,
    backend: Backend,
) -> None:
    """Queue a run under a key of ours, to end by `deadline` (epoch seconds). Asked again, only the token is new.

    The lowest priority is launched first, and of equals the oldest; a paused one not before it is resumed. Raises
    `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    watch = Watch(
        org_id=org_id,
        key=key,
        status=Status.PAUSED if paused else Status.QUEUED,
        paused_at=milliseconds(now) if paused else None,
        created_by=created_by,
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
    if not runs.add(watch.at(writer.position), writer.events):
        _renew_token(runs, org_id, key, task_token, now)
    backend.kick(watch)


def view(watch: Watch, *, backend: Backend) -> None:
    """Say that somebody watches a run, so that the poller looks often.

    However many viewers there are, this writes once in half a minute. Raises `StorageUnavailable`.
    """
    now = backend.clock.now()
    if watch.due_at is None or (watch.viewed_until or 0) - milliseconds(now) > VIEW_SECONDS * 500:
        return
    changes = {
        "viewed_until": milliseconds(now + VIEW_SECONDS),
        "due_at": min(watch.due_at, milliseconds(now + VIEWED_INTERVAL)),
    }
    try:
        backend.runs.write(watch.model_copy(update=changes))
    except ConditionFailed:
        return  # the poller, or another viewer, wrote in this moment; the next look says it again
    backend.kick()


def withdraw(watch: Watch, *, cancel: Cancel | None = None, backend: Backend) -> Watch:
    """Take back what can be: a queued run never starts; one that may exist upstream is followed on for its own sake.

    No state machine is told. Return the run as it then is. Raises `StorageUnavailable`.
    """
    now, runs = backend.clock.now(), backend.runs
    while watch.task_token or watch.unlaunched:
        without_token = watch.model_copy(update={"task_token": None, "updated_at": milliseconds(now)})
        change = cancelled(without_token, cancel, now=now) if watch.unlaunched else Change(without_token, ())
        try:
            return runs.write(*change)
        except ConditionFailed:
            watch = runs.get(watch.org_id, watch.key) or watch
    return watch


def _follows_up(prompt: Prompt | None) -> bool:
    """Whether a run was told to go on: its next turn begins, even if that has ended by the time we hear of it."""
    return prompt is not None and prompt.follow_up


def _renew_token(runs: RunsTable, org_id: int, key: str, task_token: str, now: float) -> None:
    while watch := runs.get(org_id, key):
        try:
            runs.write(watch.model_copy(update={"task_token": task_token, "due_at": milliseconds(now)}))
        except ConditionFailed:
            continue
        return
