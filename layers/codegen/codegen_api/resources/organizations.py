"""Organizations: `api.organizations`."""

from .._core import Core
from .._models import Organization, Page
from .._pagination import PAGE_SIZE, Listing
from .._resource import AsyncResource, Resource, async_iterating, awaitable, blocking, iterating
from .._wire import Call


def list_(_core: Core, *, skip: int = 0, limit: int = PAGE_SIZE) -> "Call[Page[Organization]]":
    """Read one page of the organizations the token's user is in."""
    return Call(
        "GET", "/v1/organizations", Page[Organization].model_validate_json, params={"skip": skip, "limit": limit}
    )


def iter_(core: Core, *, skip: int = 0) -> Listing[Organization]:
    """Go through every organization the token's user is in, page by page."""
    return Listing.of_pages(lambda skip: list_(core, skip=skip), skip)


class OrganizationsResource(Resource):
    """Organizations."""

    list = blocking(list_)
    iter = iterating(iter_)


class AsyncOrganizationsResource(AsyncResource):
    """Organizations."""

    list = awaitable(list_)
    iter = async_iterating(iter_)
