"""Adding work for the poller: follow a run that exists, or queue one that does not yet."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from codegen_runs import settings, statuses
from codegen_runs.clock import Clock, SystemClock
from codegen_runs.events import Writer, shorten
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import MAX_KEPT_PROMPT, Launch, RunsTable, Watch
from codegen_runs.storage.table import ConditionFailed

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

logger = logging.getLogger(__name__)

# Nothing stays non-terminal for longer than this, in seconds.
DEADLINE = 24 * 3600


def follow(
    *,
    org_id: int,
    agent_run_id: int,
    status: str | None,
    web_url: str | None = None,
    created_by: str | None = None,
    prompt: str | None = None,
    clock: Clock | None = None,
) -> Watch:
    """Have the poller follow an upstream run; a run that has ended and got a follow-up begins its next turn.

    Raises `StorageUnavailable`.
    """
    now = (clock or SystemClock()).now()
    runs = table()
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
                prompt=shorten(prompt, MAX_KEPT_PROMPT)[0],
                created_at=_ms(now),
                updated_at=_ms(now),
                deadline_at=_ms(now + DEADLINE),
                due_at=_ms(now),
            )
            added = runs.add(watch)
        elif watch.status.terminal and not statuses.from_upstream(status).terminal:
            added = _reopen(runs, watch, now)
        else:
            return watch
        if added:
            kick()
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
    created_by: str | None = None,
    clock: Clock | None = None,
) -> None:
    """Queue a run under a key of ours; `deadline` is in epoch seconds. Asked again by the same key, only the token is new.

    Raises `StorageUnavailable`.
    """
    now = (clock or SystemClock()).now()
    runs = table()
    watch = Watch(
        org_id=org_id,
        key=key,
        status=Status.QUEUED,
        created_by=created_by,
        created_at=_ms(now),
        updated_at=_ms(now),
        prompt=prompt,
        launch=launch,
        multi_run_id=multi_run_id,
        task_token=task_token,
        deadline_at=_ms(deadline),
        due_at=_ms(now),
    )
    writer = Writer(watch.position, run_id=None, now=now)
    writer.add("run.queued", {"turn": watch.turn})
    if not runs.add(watch.at(writer.position), writer.events):
        _renew_token(runs, org_id, key, task_token, now)
    kick()


def kick() -> None:
    """Start the poller now. The schedule does so within a minute anyway, so a failure here only delays."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        _lambda().invoke(FunctionName=settings.required("POLLER_FUNCTION"), InvocationType="Event", Payload=b"{}")
    except (BotoCoreError, ClientError):
        logger.warning("The poller could not be kicked; the schedule will start it.", exc_info=True)


def table() -> RunsTable:
    """Open the runs table that the environment names."""
    return RunsTable(settings.required("RUNS_TABLE"))


def _reopen(runs: RunsTable, watch: Watch, now: float) -> bool:
    reopened = watch.model_copy(
        update={
            "status": Status.UNKNOWN,
            "status_reason": None,
            "turn": watch.turn + 1,
            "result": None,
            "result_truncated": False,
            "finished_at": None,
            "deadline_at": _ms(now + DEADLINE),
            "due_at": _ms(now),
            "quiet_polls": 0,
            "failures": 0,
        }
    )
    try:
        runs.write(reopened)
    except ConditionFailed:
        return False
    return True


def _renew_token(runs: RunsTable, org_id: int, key: str, task_token: str, now: float) -> None:
    while watch := runs.get(org_id, key):
        try:
            runs.write(watch.model_copy(update={"task_token": task_token, "due_at": _ms(now)}))
        except ConditionFailed:
            continue
        return


@cache
def _lambda() -> LambdaClient:
    import boto3
    from botocore.config import Config

    return boto3.client("lambda", config=Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard"}))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
