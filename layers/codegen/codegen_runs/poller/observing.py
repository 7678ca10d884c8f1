"""Reading what is new of a run at Codegen, and storing it."""

from __future__ import annotations

import logging

from codegen_api import AgentRun, CodegenAPIError, RateLimitError
from codegen_runs.checkpoints import recorder
from codegen_runs.events import fingerprints
from codegen_runs.poller.observation import LOGS_PER_POLL, LOOK_PAGE, Look, Observation
from codegen_runs.poller.resources import Resources
from codegen_runs.poller.settling import end
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs.schedule import looks_back
from codegen_runs.storage.runs import Watch

logger = logging.getLogger(__name__)


def observe(watch: Watch, resources: Resources) -> None:
    """Read the new log entries, the status and the result of a launched run in one call. Call with a permit."""
    if recorder.may_be_known(watch):
        watch = recorder.continued(watch, resources.runs.last_checkpoint(watch.org_id, watch.key))
    # A read that looks back begins at the entry whose turn it is, and has room for all that follow within the page.
    back = min(fingerprints(watch.open[:1])) if looks_back(watch) else None
    skip, limit = (watch.position.skip, LOGS_PER_POLL) if back is None else (back, LOOK_PAGE)
    with resources.call(watch):
        answer = resources.codegen.runs.logs(_upstream_id(watch), org_id=watch.org_id, skip=skip, limit=limit)
    observation = Observation(watch, answer, now=resources.now(), skip=skip)
    details = _details(watch, resources) if observation.needs_details else None
    change = observation.change(
        details, viewed_until=resources.viewed_until(watch), at_least=resources.shortest_interval()
    )
    if change.watch.status.terminal:
        end(change, resources)
    else:
        resources.early_reads.note(resources.store(change), now=observation.read_at)


def look(watch: Watch, resources: Resources) -> None:
    """Compare the next page of the log of a run that has ended with the event log. Call with a permit."""
    known = resources.known_entries(watch)
    with resources.call(watch):
        answer = resources.codegen.runs.logs(
            _upstream_id(watch), org_id=watch.org_id, skip=watch.look_at or 0, limit=LOOK_PAGE
        )
    page = Look(watch, answer, known, now=resources.now())
    change = page.change(_details(watch, resources) if page.needs_details else None)
    resources.keep_entries(resources.store(change), known, change.events)


def _upstream_id(watch: Watch) -> int:
    assert watch.agent_run_id is not None  # noqa: S101 - a launched run has one
    return watch.agent_run_id


def _details(watch: Watch, resources: Resources) -> AgentRun | None:
    """Read the run's pull requests and summary, which its logs do not contain; return None where that fails."""
    if not resources.take_permit("standard"):
        return None
    try:
        return resources.codegen.runs.get(_upstream_id(watch), org_id=watch.org_id)
    except RateLimitError as error:
        resources.buckets.block_after("standard", error)
    except (CodegenAPIError, CredentialsRefused):
        logger.info("A run's pull requests could not be read.", extra={"run_key": watch.key}, exc_info=True)
    return None
