"""Repositories: `api.repos`."""

from .._core import Core
from .._ids import Id
from .._models import Page, Repo
from .._pagination import PAGE_SIZE, Listing
from .._protocol import Call
from .._resource import AsyncResource, Resource, async_iterating, awaitable, blocking, iterating


def list_(core: Core, *, org_id: Id | None = None, skip: int = 0, limit: int = PAGE_SIZE) -> "Call[Page[Repo]]":
    """Read one page of the repositories of an organization."""
    return Call(
        "GET",
        f"/v1/organizations/{core.org(org_id)}/repos",
        Page[Repo].model_validate_json,
        params={"skip": skip, "limit": limit},
    )


def iter_(core: Core, *, org_id: Id | None = None, skip: int = 0) -> Listing[Repo]:
    """Iterate over all repositories of an organization, page by page."""
    return Listing.of_pages(lambda skip: list_(core, org_id=org_id, skip=skip), skip)


class ReposResource(Resource):
    """Repositories."""

    list = blocking(list_)
    iter = iterating(iter_)


class AsyncReposResource(AsyncResource):
    """Repositories."""

    list = awaitable(list_)
    iter = async_iterating(iter_)
