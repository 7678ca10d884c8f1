"""Calling the Codegen API within its limits, and trying again later when a call fails."""

from __future__ import annotations

from collections.abc import Callable

from codegen_api import CodegenAPIError, NotFoundError, RateLimitError
from codegen_runs.poller.observation import ended
from codegen_runs.poller.resources import Resources
from codegen_runs.poller.settling import end
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs.schedule import is_overdue, may_look
from codegen_runs.runs.transitions import closed, postponed, retried_later
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch

# A run counts as deleted after this many 404s in a row, because a new run is not readable at once.
NOT_FOUND_MEANS_GONE = 3

Step = Callable[[Watch, Resources], None]


def within_limit(limit: str, step: Step, watch: Watch, resources: Resources) -> None:
    """Take a permit and run a step, which calls the Codegen API. Try later if there is no permit or the call fails.

    A call that fails after the deadline of the run ends the run. For a run that has ended, the step is given up then.
    """
    if not resources.take_permit(limit):
        opens_at = resources.buckets.opens_at(limit)
        resources.store(postponed(watch, opens_at, now=resources.now()))
        return
    try:
        step(watch, resources)
    except RateLimitError as error:
        until = resources.buckets.block_after(limit, error)
        resources.store(postponed(watch, until, now=resources.now()))
    except NotFoundError as error:
        if watch.status.terminal:
            resources.store(closed(watch, now=resources.now()))
        elif watch.failures + 1 < NOT_FOUND_MEANS_GONE:
            _retry(watch, error, resources)
        else:
            _end(watch, Status.FAILED, "The Codegen API no longer knows this run.", resources)
    except (CodegenAPIError, CredentialsRefused) as error:
        if watch.status.terminal and may_look(watch, now=resources.now()):
            _retry(watch, error, resources)
        elif watch.status.terminal:
            resources.store(closed(watch, now=resources.now()))
        elif is_overdue(watch, now=resources.now()):
            _end(watch, Status.TIMED_OUT, f"The run could not be read before its deadline: {error}", resources)
        else:
            _retry(watch, error, resources)


def _retry(watch: Watch, error: Exception, resources: Resources) -> None:
    resources.store(retried_later(watch, error, now=resources.now()))


def _end(watch: Watch, status: Status, reason: str, resources: Resources) -> None:
    end(ended(watch, status, reason, now=resources.now()), resources)
