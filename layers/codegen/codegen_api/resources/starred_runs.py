"""Starred runs: `api.starred_runs`. Only a deployment has them."""

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import CursorPage, Star
from .._flows import perform, read_cursor_list
from .._ids import Id, as_id
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking

FEATURE = "starred runs"


def star(core: Core, agent_run_id: Id, *, note: str | None = None, org_id: Id | None = None) -> Flow[Star]:
    """Star a run, with an optional note. Starring it again has no further effect."""
    return (yield from _set(core, agent_run_id, True, note, org_id))


def unstar(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> Flow[Star]:
    """Remove the star of a run."""
    return (yield from _set(core, agent_run_id, False, None, org_id))


def list_(core: Core, *, org_id: Id | None = None) -> Flow[list[Star]]:
    """Read all starred runs of the caller, with their run cards, latest star first."""
    yield from require_deployment(core, FEATURE)
    path, read = _path(core.org(org_id)), CursorPage[Star].read
    return (yield from read_cursor_list(lambda cursor: Call("GET", path, read, params={"cursor": cursor})))


def _set(core: Core, agent_run_id: Id, starred: bool, note: str | None, org_id: Id | None) -> Flow[Star]:
    yield from require_deployment(core, FEATURE)
    body = {"agent_run_id": as_id(agent_run_id), "starred": starred, "note": note}
    path, key = _path(core.org(org_id)), new_idempotency_key()
    return (yield from perform(Call("POST", path, Star.read, body=body, idempotency_key=key)))


def _path(org_id: int) -> str:
    return f"/v1/organizations/{org_id}/starred-runs"


class StarredRunsResource(Resource):
    """Starred runs."""

    star = blocking(star)
    unstar = blocking(unstar)
    list = blocking(list_)


class AsyncStarredRunsResource(AsyncResource):
    """Starred runs."""

    star = awaitable(star)
    unstar = awaitable(unstar)
    list = awaitable(list_)
