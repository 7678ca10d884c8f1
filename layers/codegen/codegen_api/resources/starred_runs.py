"""Starred runs: `api.starred_runs`. Only a deployment has them."""

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import CursorPage, Star
from .._flows import perform
from .._ids import Id, as_id
from .._pagination import Listing, by_cursor
from .._protocol import Call, Flow, no_content
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing

FEATURE = "starred runs"
MOST_STARS = 50
"""The largest page, because each star comes with its run card."""


def star(core: Core, agent_run_id: Id, *, note: str | None = None, org_id: Id | None = None) -> Flow[Star]:
    """Star a run, with an optional note. Starring it again changes the note only."""
    body = {"agent_run_id": as_id(agent_run_id), "starred": True, "note": note}
    path, key = _path(core.org(org_id)), new_idempotency_key()
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("POST", path, Star.read, body=body, idempotency_key=key)))


def unstar(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> Flow[None]:
    """Remove the star of a run."""
    path = f"{_path(core.org(org_id))}/{as_id(agent_run_id)}"
    yield from require_deployment(core, FEATURE)
    yield Call("DELETE", path, no_content)


def list_(core: Core, *, limit: int = MOST_STARS, org_id: Id | None = None) -> Listing[Star, CursorPage[Star]]:
    """List the starred runs of the caller, with their run cards, latest star first. `limit` is the size of a page."""
    path, read = _path(core.org(org_id)), CursorPage[Star].read
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={"cursor": cursor, "limit": limit}))


def _path(org_id: int) -> str:
    return f"/v1/organizations/{org_id}/starred-runs"


class StarredRunsResource(Resource):
    """Starred runs."""

    star = blocking(star)
    unstar = blocking(unstar)
    list = listing(list_)


class AsyncStarredRunsResource(AsyncResource):
    """Starred runs."""

    star = awaitable(star)
    unstar = awaitable(unstar)
    list = async_listing(list_)
