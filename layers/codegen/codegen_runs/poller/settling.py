"""Settling runs that have ended: completing the task that waits for a run, and reading a cancelled run once more."""

from __future__ import annotations

import logging

from codegen_api import CodegenAPIError
from codegen_runs import correlation
from codegen_runs.poller.resources import Resources
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs import transitions
from codegen_runs.runs.schedule import next_look_at
from codegen_runs.runs.transitions import Change, held, postponed, read_after_cancel, released
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

logger = logging.getLogger(__name__)


def end(change: Change, resources: Resources) -> None:
    """Store a change that ends a run, and complete the task that waits for the run.

    The state machine goes on while viewers are sent the events and the multi-run records the end. That follows after
    the steps that are due: one of them may find the end for which the answer of the multi-run still waits.
    """
    watch = resources.end(change)
    if not watch.task_token:
        resources.publish(watch, change)
        return
    try:
        _complete(watch, resources)
    except BaseException:
        resources.publish(watch, change)
        raise

    def follow() -> None:
        with correlation.of(watch.request_id):
            resources.publish(watch, change)
            _release(watch, resources)

    resources.follow_up(watch, follow)


def let_go(watch: Watch, resources: Resources) -> None:
    """Complete the task that waits for a run which continues without its multi-run."""
    for token in watch.task_tokens:
        resources.tokens.fail(token, "Run.dropped", "The multi-run no longer waits for this run.")
    resources.completed_at = resources.now()
    resources.store(transitions.let_go(watch, now=resources.now()))


def settle(watch: Watch, resources: Resources) -> None:
    """Take the next step for a run that has ended."""
    if watch.task_token:
        _complete(watch, resources)
        _release(watch, resources)
    elif next_look_at(watch) is not None:
        _read_after_cancel(watch, resources)
    else:
        resources.store(postponed(watch, None, now=resources.now()))


def _complete(watch: Watch, resources: Resources) -> None:
    for token in watch.task_tokens:
        if watch.status is Status.COMPLETED:
            resources.tokens.succeed(token, {"run": watch.key, "status": watch.status})
        else:
            cause = watch.status_reason or f"The run ended {watch.status}."
            resources.tokens.fail(token, f"Run.{watch.status}", cause)
    resources.completed_at = resources.now()


def _release(watch: Watch, resources: Resources) -> None:
    """Record the end of a candidate, and forget the task. Until both are done, the run is settled again."""
    resources.candidates.ended(watch)
    resources.store(released(watch, now=resources.now()))


def _read_after_cancel(watch: Watch, resources: Resources) -> None:
    assert watch.agent_run_id is not None  # noqa: S101 - only a launched run is stopped
    if not resources.outages.may_call():
        outage = resources.outages.current
        resources.store(held(watch, outage, now=resources.now(), viewed_until=watch.viewed_until))
        return
    try:
        with resources.call(watch):
            run = resources.codegen.runs.get(watch.agent_run_id, org_id=watch.org_id)
    except (CodegenAPIError, CredentialsRefused):
        logger.info("A cancelled run could not be read again.", extra={"run_key": watch.key}, exc_info=True)
        run = None
    resources.store(read_after_cancel(watch, run, now=resources.now()))
