"""Run cards: `api.run_cards`. Only a deployment has them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import ControlledRun, RunCard, RunCardLogs, RunCardPage
from .._flows import perform
from .._ids import Id, as_id
from .._models import Harness, Webhooks
from .._pagination import PAGE_SIZE, Listing
from .._prompt import as_prompt
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing
from .._statuses import RunStatus
from ._dates import iso_8601
from ._webhooks import webhook_bodies

FEATURE = "run cards"


def list_(  # noqa: D417 - callers do not pass `core`
    core: Core,
    *,
    status: RunStatus | str | Sequence[RunStatus | str] | None = None,
    created_after: date | str | None = None,
    created_before: date | str | None = None,
    repo: Id | None = None,
    source_type: str | None = None,
    tag: str | None = None,
    starred: bool | None = None,
    query: str | None = None,
    children: bool | None = None,
    page: int = 1,
    limit: int = PAGE_SIZE,
    org_id: Id | None = None,
) -> Listing[RunCard, RunCardPage]:
    """List the runs of all users, newest first.

    Args:
        status: Only runs with this status, or one of these.
        created_after: Only runs that were created at this time or later.
        created_before: Only runs that were created before this time.
        repo: Only runs in this repository: its id, its name or `owner/name`.
        source_type: Only runs from this source, such as `API`.
        tag: Only runs with this tag.
        starred: Only runs that you starred, or did not.
        query: Only runs that have all of these words in their texts.
        children: List the runs of a multi-run instead of one card for all of them.
        page: The page to begin with, from 1.
        limit: The size of a page.
        org_id: The organization. If None: the client's default.
    """
    words = [status] if isinstance(status, str) else status
    params = {
        "status": None if words is None else ",".join(map(str, words)),
        "created_after": iso_8601(created_after),
        "created_before": iso_8601(created_before),
        "repo": repo,
        "source_type": source_type,
        "tag": tag,
        "starred": starred,
        "q": query,
        "children": children,
        "limit": limit,
    }
    path = f"/v1/organizations/{core.org(org_id)}/run-cards"
    return Listing(
        lambda number: Call("GET", path, RunCardPage.read, params={**params, "page": number}),
        lambda found: found.items,
        lambda found: found.known_total,
        lambda found, number, _: number + 1 if found.has_more and found.items else None,
        page,
        FEATURE,
    )


def get(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> Flow[RunCard]:
    """Read the card of a run, with all its prompts and its result."""
    path = _path(core, agent_run_id, org_id)
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("GET", path, RunCard.read)))


def logs(
    core: Core, agent_run_id: Id, *, skip: int = 0, limit: int = PAGE_SIZE, org_id: Id | None = None
) -> Flow[RunCardLogs]:
    """Read a part of the log of a run, the tools that the run used, and its progress."""
    path = f"{_path(core, agent_run_id, org_id)}/logs"
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("GET", path, RunCardLogs.read, params={"skip": skip, "limit": limit})))


def create(
    core: Core,
    prompt: str,
    *,
    repo_id: Id | None = None,
    images: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    model: str | None = None,
    agent_type: Harness | None = None,
    webhooks: Webhooks | None = None,
    agent_id: str | None = None,
    mode: str | None = None,
    idempotency_key: str | None = None,
    org_id: Id | None = None,
) -> Flow[RunCard]:
    """Start a run and return its card. The arguments are those of `api.runs.create`.

    Retries start the run only once. `mode` is a word of your own, which is kept with the run.
    """
    body = {
        "prompt": as_prompt(prompt),
        "repo_id": None if repo_id is None else as_id(repo_id),
        "images": images and list(images),
        "metadata": metadata,
        "model": model,
        "agent_type": agent_type,
        "webhooks": webhook_bodies(webhooks),
        "agent_id": agent_id,
        "mode": mode,
    }
    path = f"/v1/organizations/{core.org(org_id)}/run-cards"
    yield from require_deployment(core, FEATURE)
    return (yield from perform(_post(path, body, idempotency_key)))


def follow_up(
    core: Core,
    agent_run_id: Id,
    prompt: str,
    *,
    images: Sequence[str] | None = None,
    model: str | None = None,
    webhooks: Webhooks | None = None,
    idempotency_key: str | None = None,
    org_id: Id | None = None,
) -> Flow[RunCard]:
    """Send a follow-up prompt to a run and return its card. Retries send the prompt only once."""
    body = {
        "prompt": as_prompt(prompt),
        "images": images and list(images),
        "model": model,
        "webhooks": webhook_bodies(webhooks),
    }
    path = f"{_path(core, agent_run_id, org_id)}/resume"
    yield from require_deployment(core, FEATURE)
    return (yield from perform(_post(path, body, idempotency_key)))


def cancel(
    core: Core, agent_run_id: Id, *, allow_pr_ban: bool = False, reason: str | None = None, org_id: Id | None = None
) -> Flow[ControlledRun]:
    """Cancel a run, as `api.runs.cancel` does."""
    path = _path(core, agent_run_id, org_id)
    yield from require_deployment(core, FEATURE)
    params = {"allow_pr_ban": allow_pr_ban or None, "reason": reason}
    return (yield from perform(Call("DELETE", path, ControlledRun.read, params=params)))


def _post(path: str, body: Mapping[str, Any], idempotency_key: str | None) -> Call[RunCard]:
    return Call("POST", path, RunCard.read, body=body, idempotency_key=idempotency_key or new_idempotency_key())


def _path(core: Core, agent_run_id: Id, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/run-cards/{as_id(agent_run_id)}"


class RunCardsResource(Resource):
    """Run cards."""

    list = listing(list_)
    get = blocking(get)
    logs = blocking(logs)
    create = blocking(create)
    follow_up = blocking(follow_up)
    cancel = blocking(cancel)


class AsyncRunCardsResource(AsyncResource):
    """Run cards."""

    list = async_listing(list_)
    get = awaitable(get)
    logs = awaitable(logs)
    create = awaitable(create)
    follow_up = awaitable(follow_up)
    cancel = awaitable(cancel)
