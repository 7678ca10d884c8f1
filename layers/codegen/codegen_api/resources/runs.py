"""Agent runs: `api.runs`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pydantic

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._flows import perform
from .._ids import Id, as_id
from .._models import AgentRun, AgentRunLog, AgentRunLogs, Harness, Page, Webhooks
from .._pagination import PAGE_SIZE, Listing, by_position, is_last
from .._prompt import as_prompt
from .._protocol import Call, Flow, Json, StreamFlow, any_json
from .._resource import (
    AsyncResource,
    Resource,
    async_listing,
    async_streaming,
    awaitable,
    blocking,
    listing,
    streaming,
)
from ._webhooks import webhook_bodies

if TYPE_CHECKING:
    from .._deployment_models import ControlledRun
    from .._events import Event, EventPage


def create(  # noqa: D417 - callers do not pass `core`
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

    The Codegen API does not support idempotency keys: after an error with `effect_unknown` the run may exist. To find
    out, put an id of your own into `metadata`, and search the newest runs for it.

    Args:
        prompt: The task of the agent.
        org_id: The organization. If None: the client's default.
        repo_id: The repository to work in.
        images: Images as data URIs in Base64.
        metadata: Any JSON object. Codegen stores it with the run and returns it.
        model: The language model: a `value` from `api.models.list()`. If None: the organization's default.
        agent_type: `codegen` or `claude_code`. If None: the organization's default.
        webhooks: URLs to which Codegen reports the end of this run, instead of the organization's webhook.
        agent_id: The id of an agent of a deployment. The Codegen API ignores it. `api.run_task` checks that the server
            is a deployment.
        idempotency_key: Makes it safe to retry: the run is started only once. For deployments only, because the
            Codegen API ignores it.

    Raises:
        QuotaExceededError: The agent runs of the billing plan are used up.
        RateLimitError: More than 10 runs were created within a minute.
    """
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/agent/run",
        AgentRun.read,
        body={
            "prompt": as_prompt(prompt),
            "images": images and list(images),
            "metadata": metadata,
            "repo_id": repo_id if repo_id is None else as_id(repo_id),
            "model": model,
            "agent_type": agent_type,
            "webhooks": webhook_bodies(webhooks),
            "agent_id": agent_id,
        },
        idempotency_key=idempotency_key,
    )


def get(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> Call[AgentRun]:
    """Read one run."""
    return Call("GET", _path(core, agent_run_id, org_id), AgentRun.read)


def list_(
    core: Core,
    *,
    org_id: Id | None = None,
    user_id: Id | None = None,
    source_type: str | None = None,
    skip: int = 0,
    limit: int = PAGE_SIZE,
) -> "Listing[AgentRun, Page[AgentRun]]":
    """List runs, newest first. `limit` is the size of a page. Runs that start meanwhile are not included.

    The Codegen API can filter by user and source, but not by status or time. A deployment can: `api.run_cards.list()`.
    """
    filters = {"user_id": None if user_id is None else as_id(user_id), "source_type": source_type, "limit": limit}
    path, read = f"/v1/organizations/{core.org(org_id)}/agent/runs", Page[AgentRun].read
    return by_position(lambda skip: Call("GET", path, read, params={**filters, "skip": skip}), skip)


def follow_up(
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
    """Send a follow-up prompt to a run. The run keeps its id.

    An idempotency key makes it safe to retry: the prompt is sent only once. It is for deployments only, because the
    Codegen API ignores it.
    """
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/agent/run/resume",
        lambda content: _resumed(content, as_id(agent_run_id)),
        body={
            "agent_run_id": as_id(agent_run_id),
            "prompt": as_prompt(prompt),
            "images": images and list(images),
            "model": model,
            "webhooks": webhook_bodies(webhooks),
        },
        idempotency_key=idempotency_key,
    )


def pause(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> "Flow[ControlledRun]":
    """Pause a run: nothing further is sent to it. An agent that works continues.

    Raise NotSupportedError if the server is the Codegen API.
    """
    return (yield from _control(core, agent_run_id, "pause", None, org_id))


def resume(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> "Flow[ControlledRun]":
    """End the pause of a run. Raise NotSupportedError if the server is the Codegen API.

    The Codegen API means a follow-up prompt by "resume": that is `follow_up`.
    """
    return (yield from _control(core, agent_run_id, "resume", None, org_id))


def cancel(
    core: Core, agent_run_id: Id, *, allow_pr_ban: bool = False, reason: str | None = None, org_id: Id | None = None
) -> "Flow[ControlledRun]":
    """Cancel a run. Raise NotSupportedError if the server is the Codegen API, which can only `ban` a pull request.

    A run that waits to start is cancelled at once. The only way to stop a running agent is to ban its pull request,
    which also stops every other agent on it and mutes its checks. So it needs `allow_pr_ban=True`; without it,
    ConflictError is raised. `detail` and `side_effects` of the result say what was done.
    """
    body = {"allow_pr_ban": allow_pr_ban, "reason": reason}
    return (yield from _control(core, agent_run_id, "cancel", body, org_id))


def events(
    core: Core,
    agent_run_id: Id,
    *,
    after: str | None = None,
    before: str | None = None,
    limit: int = PAGE_SIZE,
    org_id: Id | None = None,
) -> "Listing[Event, EventPage]":
    """List the events of a run so far, oldest first, from the first one or from the one after `after`.

    With the id of an event as `before`, the list is the one page of events before it; with `latest`, the newest events.

    Only a deployment has events. `api.get_task(id).stream()` waits for further ones, and works with every server.
    """
    from .._events import event_list

    return event_list("events", f"{_path(core, agent_run_id, org_id)}/events", after, limit, before)


def stream(core: Core, agent_run_id: Id, *, after: str | None = None, org_id: Id | None = None) -> StreamFlow:
    """Iterate over the events of a run as they happen, until it ends. Only a deployment has events.

    The events arrive over one connection. If it is cut, the stream continues after the last event.
    """
    from .._events import event_stream

    path = f"{_path(core, agent_run_id, org_id)}/logs/stream"
    yield from require_deployment(core, "events")
    yield from event_stream(path, after)


def ban(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    before_card_order_id: str | None = None,
    after_card_order_id: str | None = None,
) -> Call[Json]:
    """Stop every agent on the pull request of a run, and ignore its future checks. The response is undocumented."""
    return _pull_request_action(core, "ban", agent_run_id, org_id, before_card_order_id, after_card_order_id)


def unban(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    before_card_order_id: str | None = None,
    after_card_order_id: str | None = None,
) -> Call[Json]:
    """End the ban of a pull request: its checks start agents again, but no stopped agent is restarted.

    The response is undocumented.
    """
    return _pull_request_action(core, "unban", agent_run_id, org_id, before_card_order_id, after_card_order_id)


def remove_from_pr(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    before_card_order_id: str | None = None,
    after_card_order_id: str | None = None,
) -> Call[Json]:
    """Remove Codegen from the pull request of a run, which does the same as `ban`. The response is undocumented."""
    return _pull_request_action(core, "remove-from-pr", agent_run_id, org_id, before_card_order_id, after_card_order_id)


def logs(
    core: Core,
    agent_run_id: Id,
    *,
    org_id: Id | None = None,
    skip: int = 0,
    limit: int = PAGE_SIZE,
    reverse: bool = False,
) -> Call[AgentRunLogs]:
    """Read a run with one page of its log, oldest entry first unless `reverse`.

    This operation is an alpha version in the Codegen API. Rate limit: 60 calls per 60 s.
    """
    return Call(
        "GET",
        f"/v1/alpha/organizations/{core.org(org_id)}/agent/run/{as_id(agent_run_id)}/logs",
        AgentRunLogs.read,
        params={"skip": skip, "limit": limit, "reverse": reverse or None},
    )


def iter_logs(
    core: Core, agent_run_id: Id, *, org_id: Id | None = None, skip: int = 0, reverse: bool = False
) -> "Listing[AgentRunLog, AgentRunLogs]":
    """List the log entries of a run from position `skip` on.

    Entries have no id. So with `reverse`, a new entry that is written meanwhile makes another entry appear twice.
    """

    def following(page: AgentRunLogs, _position: int, read: int) -> int | None:
        return None if is_last(page.logs, page.total_logs, read) else read

    return Listing(
        lambda skip: logs(core, agent_run_id, org_id=org_id, skip=skip, reverse=reverse),
        lambda page: page.logs,
        lambda page: page.total_logs,
        following,
        skip,
    )


def _control(
    core: Core, agent_run_id: Id, action: str, body: Mapping[str, Any] | None, org_id: Id | None
) -> "Flow[ControlledRun]":
    from .._deployment_models import ControlledRun

    path = f"{_path(core, agent_run_id, org_id)}/{action}"
    yield from require_deployment(core, f"{action} of a run")
    call = Call("POST", path, ControlledRun.read, body=body, idempotency_key=new_idempotency_key())
    return (yield from perform(call))


def _path(core: Core, agent_run_id: Id, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/agent/run/{as_id(agent_run_id)}"


def _resumed(content: bytes, agent_run_id: int) -> AgentRun:
    """Read the answer to a follow-up. The run has received it, whatever the answer says about its id."""
    try:
        return AgentRun.read(content)
    except pydantic.ValidationError:
        received = any_json(content)
        if not isinstance(received, dict):
            raise
        return AgentRun.model_validate({**received, "id": agent_run_id, "unreadable": ["id"]})


def _pull_request_action(
    core: Core, action: str, agent_run_id: Id, org_id: Id | None, before: str | None, after: str | None
) -> Call[Json]:
    # The card ids are from the kanban board of Codegen: they place the card of the run in the CANCELLED column.
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/agent/run/{action}",
        any_json,
        body={
            "agent_run_id": as_id(agent_run_id),
            "before_card_order_id": before,
            "after_card_order_id": after,
        },
    )


class RunsResource(Resource):
    """Agent runs."""

    create = blocking(create)
    get = blocking(get)
    list = listing(list_)
    follow_up = blocking(follow_up)
    pause = blocking(pause)
    resume = blocking(resume)
    cancel = blocking(cancel)
    events = listing(events)
    stream = streaming(stream)
    logs = blocking(logs)
    iter_logs = listing(iter_logs)
    ban = blocking(ban)
    unban = blocking(unban)
    remove_from_pr = blocking(remove_from_pr)


class AsyncRunsResource(AsyncResource):
    """Agent runs."""

    create = awaitable(create)
    get = awaitable(get)
    list = async_listing(list_)
    follow_up = awaitable(follow_up)
    pause = awaitable(pause)
    resume = awaitable(resume)
    cancel = awaitable(cancel)
    events = async_listing(events)
    stream = async_streaming(stream)
    logs = awaitable(logs)
    iter_logs = async_listing(iter_logs)
    ban = awaitable(ban)
    unban = awaitable(unban)
    remove_from_pr = awaitable(remove_from_pr)
