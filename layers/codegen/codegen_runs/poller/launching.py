"""Launching queued runs, each exactly once.

Codegen offers no idempotency for creating a run. So a launch is stored before it is requested, and the run's metadata
carries the key of the watch. Where the answer is lost, the run is found by that key and adopted; only if no run carries
it after a grace period is the launch repeated.
"""

from __future__ import annotations

import logging

from codegen_api import (
    AgentRun,
    APIConnectionError,
    CodegenAPIError,
    InvalidResponseError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from codegen_runs.clock import milliseconds
from codegen_runs.poller.resources import Resources
from codegen_runs.poller.settling import end
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs import transitions
from codegen_runs.runs.client_run_ids import CLIENT_RUN_ID, client_run_id
from codegen_runs.storage.runs import MAX_CLOCK_SKEW, Launch, Watch
from codegen_runs.storage.table import ConditionFailed
from codegen_runs.upstream.unreadable import is_identified

logger = logging.getLogger(__name__)

# Codegen lists runs newest first, 100 on a page.
ADOPTION_PAGES = 10

# Seconds without launches of an organization after its plan's runs are used up, and without launches after Codegen
# refused the deployment's token.
QUOTA_PAUSE = 300.0
CREDENTIALS_PAUSE = 30.0


def launch(watch: Watch, resources: Resources) -> None:
    """Launch a run whose turn it is, or cancel it if its multi-run does not want it any more. Call with a permit."""
    bucket, now = resources.buckets.read("create"), milliseconds(resources.now())
    if bucket.blocked_until > now or bucket.closure(str(watch.org_id), now):
        return  # Codegen has refused another launch since the permit was given
    if not resources.outages.may_call():
        return
    if cancel := resources.candidates.unwanted(watch):
        end(transitions.cancelled(watch, cancel, now=resources.now()), resources)
        return
    asked = watch.launch or Launch()
    launching = resources.store(transitions.launching(watch, now=resources.now()))
    try:
        with resources.call(watch):
            run = resources.codegen.runs.create(
                asked.sent or watch.prompt or "",
                org_id=watch.org_id,
                repo_id=asked.repo_id,
                model=asked.model,
                agent_type=asked.agent_type,
                metadata=asked.metadata | {CLIENT_RUN_ID: watch.key},
            )
    except (CodegenAPIError, CredentialsRefused) as error:
        _failed(launching, error, resources)
    else:
        _launched(launching, run, resources)


def probe(watch: Watch, resources: Resources) -> None:
    """Find out whether an outage is over while launches wait and no run is read.

    A launch itself has effects, so it is no probe.
    """
    if not resources.outages.may_call():
        return
    resources.take_permit("standard")  # Counted, but a probe is made without one, too.
    try:
        with resources.call(watch):
            resources.codegen.runs.list(org_id=watch.org_id, limit=1)
    except (CodegenAPIError, CredentialsRefused):
        logger.info("The Codegen API still fails.", exc_info=True)


def adopt(watch: Watch, resources: Resources) -> None:
    """Find the run of a launch whose answer was lost, or launch it again. Call with a permit."""
    if run := _find(watch, resources):
        _launched(watch, run, resources)
    else:
        resources.store(transitions.not_adopted(watch, now=resources.now()))


def _failed(watch: Watch, error: CodegenAPIError | CredentialsRefused, resources: Resources) -> None:
    match error:
        case RateLimitError():
            resources.buckets.block_after("create", error)
            _requeue(watch, error, resources)
        case CredentialsRefused():
            resources.buckets.block("create", CREDENTIALS_PAUSE, error.summary)
            _requeue(watch, error, resources)
        case CodegenAPIError(effect_unknown=True):
            logger.warning("The answer to a launch was lost.", extra={"run_key": watch.key}, exc_info=error)
        case APIConnectionError() | ServerError():
            # Other launches may succeed. If Codegen responds to none, that is an outage.
            resources.store(transitions.launch_failed(watch, error, now=resources.now()))
        case _:
            if isinstance(error, QuotaExceededError):  # the organization's next launches would be refused as well
                resources.buckets.close("create", watch.org_id, QUOTA_PAUSE, error.summary)
            end(transitions.launch_refused(watch, error, now=resources.now()), resources)


def _requeue(watch: Watch, error: CodegenAPIError | CredentialsRefused, resources: Resources) -> None:
    resources.store(transitions.requeued(watch, error, now=resources.now()))


def _launched(watch: Watch, run: AgentRun, resources: Resources) -> None:
    """Store the run of a launch, also if a task token or a cancel was added to the watch in the meantime."""
    viewed = resources.publisher.watched(watch)
    while True:
        change = transitions.launched(
            watch, run, now=resources.now(), at_least=resources.shortest_interval(), viewed=viewed
        )
        try:
            resources.store(change, launched=True)
        except ConditionFailed:
            again = resources.runs.get(watch.org_id, watch.key)
            if again is None or not again.is_same_launch(watch):
                raise
            watch = again
            continue
        return


def _find(watch: Watch, resources: Resources) -> AgentRun | None:
    """Return the run at Codegen that carries the key of a watch, among all that are no older than its launch."""
    oldest = (watch.launching_since or 0) / 1000 - MAX_CLOCK_SKEW
    for number in range(ADOPTION_PAGES):
        with resources.call(watch):
            page = resources.codegen.runs.list(org_id=watch.org_id, skip=number * 100).first
        if "items" in page.unreadable:
            raise InvalidResponseError("the list of runs cannot be read")
        for run in page.items:
            if client_run_id(run) == watch.key:
                if not is_identified(run):
                    raise InvalidResponseError("the id of the run cannot be read")
                return run
        last = next((run.created_at for run in reversed(page.items) if run.created_at), None)
        if not page.items or (last and last.timestamp() < oldest):
            break
    return None
