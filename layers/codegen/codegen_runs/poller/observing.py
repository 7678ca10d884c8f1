"""Reading what is new of a run at Codegen, and storing it."""

from __future__ import annotations

import logging

from codegen_api import AgentRun, CodegenAPIError, RateLimitError
from codegen_runs.checkpoints import recorder
from codegen_runs.clock import milliseconds
from codegen_runs.poller.observation import LOGS_PER_POLL, Observation
from codegen_runs.poller.resources import Resources
from codegen_runs.poller.settling import end
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs.schedule import VIEW_SECONDS
from codegen_runs.storage.runs import Watch

logger = logging.getLogger(__name__)


def observe(watch: Watch, resources: Resources) -> None:
    """Read the new log entries, the status and the result of a launched run in one call. Call with a permit."""
    if recorder.may_be_known(watch):
        watch = recorder.continued(watch, resources.runs.last_checkpoint(watch.org_id, watch.key))
    assert watch.agent_run_id is not None  # noqa: S101 - a launched run has one
    answer = resources.codegen.runs.logs(
        watch.agent_run_id, org_id=watch.org_id, skip=watch.position.skip, limit=LOGS_PER_POLL
    )
    observation = Observation(watch, answer, now=resources.now())
    details = _details(watch, resources) if observation.needs_details else None
    change = observation.change(
        details, viewed_until=_viewed_until(watch, resources), at_least=resources.shortest_interval()
    )
    end(change, resources) if change.watch.status.terminal else resources.store(change)


def _details(watch: Watch, resources: Resources) -> AgentRun | None:
    """Read the run's pull requests and summary, which its logs do not contain; return None where that fails."""
    assert watch.agent_run_id is not None  # noqa: S101 - a launched run has one
    if not resources.take_permit("standard"):
        return None
    try:
        return resources.codegen.runs.get(watch.agent_run_id, org_id=watch.org_id)
    except RateLimitError as error:
        resources.buckets.block_after("standard", error)
    except (CodegenAPIError, CredentialsRefused):
        logger.info("A run's pull requests could not be read.", extra={"run_key": watch.key}, exc_info=True)
    return None


def _viewed_until(watch: Watch, resources: Resources) -> int | None:
    """Return until when somebody watches the run, in epoch milliseconds.

    Viewers who are connected do not repeat that they watch, so the time is extended for them before it is over.
    """
    now = resources.now()
    if watch.viewed_until is None or watch.viewed_until > milliseconds(now + VIEW_SECONDS / 3):
        return watch.viewed_until
    if resources.publisher.watched(watch):
        return milliseconds(now + VIEW_SECONDS)
    return watch.viewed_until if watch.viewed_until > milliseconds(now) else None
