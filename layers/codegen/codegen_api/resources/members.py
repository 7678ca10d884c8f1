"""Members of an organization and their roles: `api.members`. Only a deployment has them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core import Core
from .._deployment import require_deployment
from .._flows import perform
from .._ids import Id, as_id
from .._pagination import PAGE_SIZE, Listing, by_cursor
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing

if TYPE_CHECKING:
    from .._deployment_models import CursorPage, Member

FEATURE = "roles of members"


def list_(core: Core, *, limit: int = PAGE_SIZE, org_id: Id | None = None) -> "Listing[Member, CursorPage[Member]]":
    """List the members of an organization with their roles and permissions. `limit` is the size of a page."""
    from .._deployment_models import CursorPage, Member

    path, read = f"/v1/organizations/{core.org(org_id)}/members", CursorPage[Member].read
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={"cursor": cursor, "limit": limit}))


def update(
    core: Core,
    user_id: Id,
    *,
    role: str | None = None,
    permissions: Sequence[str] | None = None,
    org_id: Id | None = None,
) -> "Flow[Member]":
    """Change what a member may do on a deployment.

    `role` is viewer, member or admin. `permissions` can restrict it further. Raise NotSupportedError if the server is
    the Codegen API.
    """
    from .._deployment_models import Member

    path = f"/v1/organizations/{core.org(org_id)}/users/{as_id(user_id)}"
    yield from require_deployment(core, FEATURE)
    body = {"role": role, "permissions": None if permissions is None else list(permissions)}
    return (yield from perform(Call("PATCH", path, Member.read, body=body)))


class MembersResource(Resource):
    """Members of an organization and their roles."""

    list = listing(list_)
    update = blocking(update)


class AsyncMembersResource(AsyncResource):
    """Members of an organization and their roles."""

    list = async_listing(list_)
    update = awaitable(update)
