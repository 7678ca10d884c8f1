"""Agent runs: `api.runs`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .._core import Core
from .._ids import Id, as_id
from .._models import AgentRun, AgentRunLog, AgentRunLogs, Harness, Page, Webhook, Webhooks
from .._pagination import PAGE_SIZE, Listing
from .._protocol import Call
from .._resource import AsyncResource, Resource, async_iterating, awaitable, blocking, iterating

Json = Any


def create(  # noqa: D417 - a caller never sees `core`
    core: Core,
    prompt: str,
    *,
    org_id: Id | None = None,
    repo_id: Id | None = None,
    images: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    model: str | None = None,
    agent_type: Harness | None = None,
    webhooks: Webhooks | None = None,
    agent_id: str | None = None,
    idempotency_key: str | None = None,
) -> Call[AgentRun]:
    """Start an agent run.

    Codegen itself has no idempotency key: after an error with `effect_unknown` the run may exist. Put an id of your own
    into `metadata`, which is echoed back, and look for it among the newest runs.

    Args:
        prompt: What the agent is to do.
        org_id: The organization; the client's if None.
        repo_id: The repository to work in.
        images: Base64 data URIs.
        metadata: Any JSON object, kept with the run.
        model: A `value` from `api.models.list()`; the organization's default if None.
        agent_type: `codegen` or `claude_code`; the organization's default if None.
        webhooks: Where the end of this run is reported, in place of the organization's webhook.
        agent_id: An agent of a deployment, which Codegen itself ignores; `api.run_task` looks before it sends one.
        idempotency_key: Names this start, so that it may be repeated. For deployments only: Codegen ignores it.

    Raises:
        QuotaExceededError: The plan's runs are used up.
        RateLimitError: More than 10 creations in a minute.
    """
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/agent/run",
        AgentRun.model_validate_json,
        body={
            "prompt": prompt,
            "images": images and list(images),
            "metadata": metadata,
            "repo_id": repo_id if repo_id is None else as_id(repo_id),
            "model": model,
            "agent_type": agent_type,
            "webhooks": _targets(webhooks),
            "agent_id": agent_id,
        },
        idempotency_key=idempotency_key,
    )


def get(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> Call[AgentRun]:
    """Read one run."""
    return Call(
        "GET",
        f"/v1/organizations/{core.org(org_id)}/agent/run/{as_id(agent_run_id)}",
        AgentRun.model_validate_json,
    )


def list_(
    core: Core,
    *,
    org_id: Id | None = None,
    user_id: Id | None = None,
    source_type: str | None = None,
    skip: int = 0,
    limit: int = PAGE_SIZE,
) -> "Call[Page[AgentRun]]":
    """Read one page of runs, newest first. The upstream filters by user and source, not by status or time."""
    return Call(
        "GET",
        f"/v1/organizations/{core.org(org_id)}/agent/runs",
        Page[AgentRun].model_validate_json,
        params={
            "user_id": user_id if user_id is None else as_id(user_id),
            "source_type": source_type,
            "skip": skip,
            "limit": limit,
        },
    )


def iter_(
    core: Core, *, org_id: Id | None = None, user_id: Id | None = None, source_type: str | None = None, skip: int = 0
) -> Listing[AgentRun]:
    """Go through every run, newest first, page by page. Runs that start meanwhile are not included."""
    return Listing.of_pages(
        lambda skip: list_(core, org_id=org_id, user_id=user_id, source_type=source_type, skip=skip), skip
    )


def resume(
    core: Core,
    agent_run_id: Id,
    prompt: str,
    *,
    org_id: Id | None = None,
    images: Sequence[str] | None = None,
    model: str | None = None,
    webhooks: Webhooks | None = None,
    idempotency_key: str | None = None,
) -> Call[AgentRun]:
    """Follow a run up with another prompt; the run keeps its id.

    An idempotency key names the follow-up, so that it may be repeated. For deployments only: Codegen ignores it.
    """
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/agent/run/resume",
        AgentRun.model_validate_json,
        body={
            "agent_run_id": as_id(agent_run_id),
            "prompt": prompt,
            "images": images and list(images),
            "model": model,
            "webhooks": _targets(webhooks),
        },
        idempotency_key=idempotency_key,
    )


def ban(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    before_card_order_id: str | None = None,
    after_card_order_id: str | None = None,
) -> Call[Json]:
    """Stop every agent on the run's pull request and ignore its future checks. The answer's shape is undocumented."""
    return _stop(core, "ban", agent_run_id, org_id, before_card_order_id, after_card_order_id)


def unban(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    before_card_order_id: str | None = None,
    after_card_order_id: str | None = None,
) -> Call[Json]:
    """Let the checks of the run's pull request wake agents again; restarts none. The answer's shape is undocumented."""
    return _stop(core, "unban", agent_run_id, org_id, before_card_order_id, after_card_order_id)


def remove_from_pr(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    before_card_order_id: str | None = None,
    after_card_order_id: str | None = None,
) -> Call[Json]:
    """Take Codegen off the run's pull request: a ban under another name. The answer's shape is undocumented."""
    return _stop(core, "remove-from-pr", agent_run_id, org_id, before_card_order_id, after_card_order_id)


def logs(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    skip: int = 0,
    limit: int = PAGE_SIZE,
    reverse: bool = False,
) -> Call[AgentRunLogs]:
    """Read a run with one page of its logs, oldest first unless `reverse`. Alpha upstream; 60 calls in 60 s."""
    return Call(
        "GET",
        f"/v1/alpha/organizations/{core.org(org_id)}/agent/run/{as_id(agent_run_id)}/logs",
        AgentRunLogs.model_validate_json,
        params={"skip": skip, "limit": limit, "reverse": reverse or None},
    )


def iter_logs(
    core: Core, agent_run_id: Id, *, org_id: Id | None = None, skip: int = 0, reverse: bool = False
) -> Listing[AgentRunLog]:
    """Go through a run's logs from position `skip` on, page by page.

    Logs have no id: in `reverse`, one that is written meanwhile makes another come twice.
    """
    return Listing(
        lambda skip: logs(core, agent_run_id, org_id=org_id, skip=skip, reverse=reverse),
        lambda page: (page.logs, page.total_logs),
        skip,
    )


def _stop(
    core: Core, verb: str, agent_run_id: Id, org_id: Id | None, before: str | None, after: str | None
) -> Call[Json]:
    # The card ids are keys on the upstream's kanban board: where the run's card goes in the CANCELLED column.
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/agent/run/{verb}",
        _any_json,
        body={
            "agent_run_id": as_id(agent_run_id),
            "before_card_order_id": before,
            "after_card_order_id": after,
        },
    )


def _any_json(content: bytes) -> Json:
    return json.loads(content) if content.strip() else None


def _targets(webhooks: Webhooks | None) -> list[dict[str, Any]] | None:
    if webhooks is None:
        return None
    return [target.model_dump() if isinstance(target, Webhook) else dict(target) for target in webhooks]


class RunsResource(Resource):
    """Agent runs."""

    create = blocking(create)
    get = blocking(get)
    list = blocking(list_)
    iter = iterating(iter_)
    resume = blocking(resume)
    ban = blocking(ban)
    unban = blocking(unban)
    remove_from_pr = blocking(remove_from_pr)
    logs = blocking(logs)
    iter_logs = iterating(iter_logs)


class AsyncRunsResource(AsyncResource):
    """Agent runs."""

    create = awaitable(create)
    get = awaitable(get)
    list = awaitable(list_)
    iter = async_iterating(iter_)
    resume = awaitable(resume)
    ban = awaitable(ban)
    unban = awaitable(unban)
    remove_from_pr = awaitable(remove_from_pr)
    logs = awaitable(logs)
    iter_logs = async_iterating(iter_logs)
