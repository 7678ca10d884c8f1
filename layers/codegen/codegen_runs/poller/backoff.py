"""Calling the Codegen API within its limits, and trying again later when a call fails or in an outage."""

from __future__ import annotations

from collections.abc import Callable

from codegen_api import CodegenAPIError, NotFoundError, RateLimitError
from codegen_runs.limits.outages import no_answer
from codegen_runs.poller.observation import ended
from codegen_runs.poller.resources import Resources
from codegen_runs.poller.settling import end
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs.schedule import is_overdue, may_look
from codegen_runs.runs.transitions import closed, held, postponed, retried_later
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

# A run counts as deleted after this many 404s in a row, because a new run is not readable at once.
NOT_FOUND_MEANS_GONE = 3

Step = Callable[[Watch, Resources], None]


def within_limit(limit: str, step: Step, watch: Watch, resources: Resources) -> None:
    """Take a permit and run a step, which calls the Codegen API. Try later if there is no permit or the call fails.

    A call that fails after the deadline of the run ends the run. For a run that has ended, the step is given up then.
    During an outage no step is run but the one that probes whether it is over.
    """
    if not resources.outages.may_call():
        _hold(watch, resources)
        return
    if not resources.take_permit(limit):
        opens_at = resources.buckets.opens_at(limit)
        resources.store(postponed(watch, opens_at, now=resources.now()))
        return
    try:
        step(watch, resources)
    except RateLimitError as error:
        until = resources.buckets.block_after(limit, error)
        resources.store(postponed(watch, until, now=resources.now()))
    except (CodegenAPIError, CredentialsRefused) as error:
        if isinstance(error, NotFoundError) and not no_answer(error):
            _not_found(watch, error, resources)
        elif no_answer(error) and resources.outages.current.since is not None:
            _hold(watch, resources)
        elif not _give_up(watch, error.summary, resources):
            _retry(watch, error, resources)


def _hold(watch: Watch, resources: Resources) -> None:
    outage = resources.outages.current
    if not _give_up(watch, outage.reason, resources):
        viewed_until = resources.viewed_until(watch)
        resources.store(held(watch, outage, now=resources.now(), viewed_until=viewed_until))


def _not_found(watch: Watch, error: NotFoundError, resources: Resources) -> None:
    if watch.status.terminal:
        resources.store(closed(watch, now=resources.now()))
    elif watch.failures + 1 < NOT_FOUND_MEANS_GONE:
        _retry(watch, error, resources)
    else:
        _end(watch, Status.FAILED, "The Codegen API no longer knows this run.", resources)


def _give_up(watch: Watch, reason: str, resources: Resources) -> bool:
    """End a run that cannot be read at its deadline, or close it if it has ended; return whether it is time to."""
    now = resources.now()
    if watch.status.terminal:
        if may_look(watch, now=now):
            return False
        resources.store(closed(watch, now=now))
        return True
    if not is_overdue(watch, now=now):
        return False
    _end(watch, Status.TIMED_OUT, f"The run could not be read before its deadline: {reason}", resources)
    return True


def _retry(watch: Watch, error: CodegenAPIError | CredentialsRefused, resources: Resources) -> None:
    resources.store(retried_later(watch, error, now=resources.now(), viewed_until=resources.viewed_until(watch)))


def _end(watch: Watch, status: Status, reason: str, resources: Resources) -> None:
    end(ended(watch, status, reason, now=resources.now()), resources)
