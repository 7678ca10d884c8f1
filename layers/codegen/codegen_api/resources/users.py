"""Users: `api.users`."""

from .._core import Core
from .._models import Page, User
from .._pagination import PAGE_SIZE, Listing
from .._resource import AsyncResource, Resource, async_iterating, awaitable, blocking, iterating
from .._settings import Id, as_id
from .._wire import Call


def list_(core: Core, *, org_id: Id | None = None, skip: int = 0, limit: int = PAGE_SIZE) -> "Call[Page[User]]":
    """Read one page of an organization's users."""
    return Call(
        "GET",
        f"/v1/organizations/{core.org(org_id)}/users",
        Page[User].model_validate_json,
        params={"skip": skip, "limit": limit},
    )


def iter_(core: Core, *, org_id: Id | None = None, skip: int = 0) -> Listing[User]:
    """Go through every user of an organization, page by page."""
    return Listing.of_pages(lambda skip: list_(core, org_id=org_id, skip=skip), skip)


def get(core: Core, user_id: Id, *, org_id: Id | None = None) -> Call[User]:
    """Read one user of an organization."""
    return Call("GET", f"/v1/organizations/{core.org(org_id)}/users/{as_id(user_id)}", User.model_validate_json)


def me(_core: Core) -> Call[User]:
    """Read the user whose token this is."""
    return Call("GET", "/v1/users/me", User.model_validate_json)


class UsersResource(Resource):
    """Users."""

    list = blocking(list_)
    iter = iterating(iter_)
    get = blocking(get)
    me = blocking(me)


class AsyncUsersResource(AsyncResource):
    """Users."""

    list = awaitable(list_)
    iter = async_iterating(iter_)
    get = awaitable(get)
    me = awaitable(me)
