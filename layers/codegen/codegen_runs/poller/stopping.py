"""Stopping runs at Codegen whose cancel was requested while they were being launched."""

from __future__ import annotations

import logging

from codegen_api import CodegenAPIError, RateLimitError
from codegen_runs.poller.resources import Resources
from codegen_runs.problems import CredentialsRefused
from codegen_runs.runs import transitions
from codegen_runs.storage.runs import Watch

logger = logging.getLogger(__name__)


def stop(watch: Watch, resources: Resources) -> None:
    """Stop a run by the means that its cancel allows; without any, let it go on. Call with a permit."""
    assert watch.cancel is not None  # noqa: S101 - only then there is something to do
    assert watch.agent_run_id is not None  # noqa: S101 - a launched run has one
    if not watch.cancel.allow_pr_ban:
        reason = "The run had been launched, and the cancel does not allow a ban of its pull request."
        resources.store(transitions.cancel_unconfirmed(watch, watch.status, reason, now=resources.now()))
        return
    # Stored first, so that a caller who cancels now does not ban the pull request a second time.
    cancelling = resources.store(transitions.cancelling(watch, watch.cancel, now=resources.now()))
    try:
        with resources.call(watch):
            resources.codegen.runs.ban(watch.agent_run_id, org_id=watch.org_id)
    except RateLimitError as error:
        until = resources.buckets.block_after("standard", error)
        resources.store(transitions.cancel_postponed(cancelling, watch.status, until, now=resources.now()))
    except (CodegenAPIError, CredentialsRefused) as error:
        if transitions.ban_outcome_unknown(error):
            logger.warning("The answer to a ban was lost.", extra={"run_key": watch.key}, exc_info=True)
        else:
            resources.store(transitions.ban_refused(cancelling, watch.status, error, now=resources.now()))
