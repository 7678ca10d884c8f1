"""Checkpoints of runs: `api.checkpoints`. Only a deployment has them."""

from collections.abc import Sequence
from typing import Any

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import Checkpoint, CursorPage, Lineage, RestoredRun
from .._flows import perform
from .._ids import Id, as_id, as_name
from .._pagination import PAGE_SIZE, Listing, by_cursor
from .._prompt import as_prompt
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing

FEATURE = "checkpoints"


def list_(
    core: Core, agent_run_id: Id, *, limit: int = PAGE_SIZE, org_id: Id | None = None
) -> Listing[Checkpoint, CursorPage[Checkpoint]]:
    """List the checkpoints of a run, without their conversations. `limit` is the size of a page."""
    path, read = _of_run(core, agent_run_id, org_id), CursorPage[Checkpoint].read
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={"cursor": cursor, "limit": limit}))


def create(
    core: Core,
    agent_run_id: Id,
    *,
    description: str | None = None,
    tags: Sequence[str] | None = None,
    org_id: Id | None = None,
) -> Flow[Checkpoint]:
    """Make a checkpoint of a run as it is now."""
    path = _of_run(core, agent_run_id, org_id)
    yield from require_deployment(core, FEATURE)
    body = {"description": description, "tags": None if tags is None else list(tags)}
    return (yield from perform(Call("POST", path, Checkpoint.read, body=body, idempotency_key=new_idempotency_key())))


def get(core: Core, checkpoint_id: str, *, org_id: Id | None = None) -> Flow[Checkpoint]:
    """Read a checkpoint with its conversation."""
    path = _path(core, checkpoint_id, org_id)
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("GET", path, Checkpoint.read)))


def restore(  # noqa: D417 - callers do not pass `core`
    core: Core,
    checkpoint_id: str,
    *,
    prompt: str | None = None,
    system_prompt: str | None = None,
    model: str | None = None,
    create_new_run: bool = True,
    org_id: Id | None = None,
) -> Flow[RestoredRun]:
    """Continue from a checkpoint, with the conversation up to there. Files are not rewound.

    Args:
        checkpoint_id: The checkpoint.
        prompt: The next prompt, instead of the last one of the conversation.
        system_prompt: Instructions, instead of those of the agent.
        model: The language model.
        create_new_run: Whether a new run continues. If False, the same run is told to go back.
        org_id: The organization. If None: the client's default.
    """
    changes = _modifications(prompt, system_prompt, model)
    body = {"modifications": changes, "create_new_run": create_new_run}
    return (yield from _branch(core, checkpoint_id, "restore", body, org_id))


def fork(  # noqa: D417 - callers do not pass `core`
    core: Core,
    checkpoint_id: str,
    *,
    prompt: str | None = None,
    system_prompt: str | None = None,
    model: str | None = None,
    org_id: Id | None = None,
) -> Flow[RestoredRun]:
    """Start a new run from a checkpoint, with the conversation up to there. Files are not copied.

    Args:
        checkpoint_id: The checkpoint.
        prompt: The next prompt, instead of the last one of the conversation.
        system_prompt: Instructions, instead of those of the agent.
        model: The language model.
        org_id: The organization. If None: the client's default.
    """
    body = {"modifications": _modifications(prompt, system_prompt, model)}
    return (yield from _branch(core, checkpoint_id, "fork", body, org_id))


def lineage(core: Core, checkpoint_id: str, *, org_id: Id | None = None) -> Flow[Lineage]:
    """Read where a checkpoint comes from and which runs were started from it."""
    path = f"{_path(core, checkpoint_id, org_id)}/lineage"
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("GET", path, Lineage.read)))


def _branch(core: Core, checkpoint_id: str, action: str, body: dict[str, Any], org_id: Id | None) -> Flow[RestoredRun]:
    path = f"{_path(core, checkpoint_id, org_id)}/{action}"
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("POST", path, RestoredRun.read, body=body, idempotency_key=new_idempotency_key())))


def _modifications(prompt: str | None, system_prompt: str | None, model: str | None) -> dict[str, Any] | None:
    changes = {"modified_query": prompt and as_prompt(prompt), "system_prompt": system_prompt, "model": model}
    return {name: value for name, value in changes.items() if value is not None} or None


def _of_run(core: Core, agent_run_id: Id, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/agent/run/{as_id(agent_run_id)}/checkpoints"


def _path(core: Core, checkpoint_id: str, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/checkpoints/{as_name(checkpoint_id)}"


class CheckpointsResource(Resource):
    """Checkpoints of runs."""

    list = listing(list_)
    create = blocking(create)
    get = blocking(get)
    restore = blocking(restore)
    fork = blocking(fork)
    lineage = blocking(lineage)


class AsyncCheckpointsResource(AsyncResource):
    """Checkpoints of runs."""

    list = async_listing(list_)
    create = awaitable(create)
    get = awaitable(get)
    restore = awaitable(restore)
    fork = awaitable(fork)
    lineage = awaitable(lineage)
