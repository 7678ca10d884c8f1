"""Starred runs: `api.starred_runs`. A deployment has them; Codegen itself does not."""

from .._core import Core
from .._deployment import needs_deployment, new_key
from .._deployment_models import CursorPage, Star
from .._flows import do, gather_by_cursor
from .._ids import Id, as_id
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking

WHAT = "starred runs"


def star(core: Core, agent_run_id: Id, *, note: str | None = None, org_id: Id | None = None) -> Flow[Star]:
    """Star a run, with a note if there is one. Starred twice is starred once."""
    return (yield from _set(core, agent_run_id, True, note, org_id))


def unstar(core: Core, agent_run_id: Id, *, org_id: Id | None = None) -> Flow[Star]:
    """Take the star of a run away."""
    return (yield from _set(core, agent_run_id, False, None, org_id))


def list_(core: Core, *, org_id: Id | None = None) -> Flow[list[Star]]:
    """List all runs that the caller starred, newest star first, each with its card."""
    yield from needs_deployment(core, WHAT)
    path, read = _path(core.org(org_id)), CursorPage[Star].model_validate_json
    return (yield from gather_by_cursor(lambda cursor: Call("GET", path, read, params={"cursor": cursor})))


def _set(core: Core, agent_run_id: Id, starred: bool, note: str | None, org_id: Id | None) -> Flow[Star]:
    yield from needs_deployment(core, WHAT)
    body = {"agent_run_id": as_id(agent_run_id), "starred": starred, "note": note}
    call = Call("POST", _path(core.org(org_id)), Star.model_validate_json, body=body, idempotency_key=new_key())
    return (yield from do(call))


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
