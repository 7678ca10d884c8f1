"""Organizations: `api.organizations`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._core import Core
from .._deployment import is_deployment, require_deployment
from .._errors import PermissionDeniedError
from .._flows import perform, read_list
from .._ids import Id
from .._models import Organization, Page
from .._pagination import PAGE_SIZE, Listing, by_position
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing
from . import members, usage, users

if TYPE_CHECKING:
    from .._deployment_models import Member, OrganizationDetails


def list_(_core: Core, *, skip: int = 0, limit: int = PAGE_SIZE) -> "Listing[Organization, Page[Organization]]":
    """List the organizations of the token's user. `limit` is the size of a page."""
    read = Page[Organization].read
    return by_position(lambda skip: Call("GET", "/v1/organizations", read, params={"skip": skip, "limit": limit}), skip)


def get_organization(core: Core, *, org_id: Id | None = None) -> "Flow[OrganizationDetails]":
    """Read an organization, with its settings and the number of its members.

    The Codegen API has no such operation. There the client combines the lists of organizations and users.
    """
    from .._deployment_models import OrganizationDetails

    org = core.org(org_id)
    if (yield from is_deployment(core)):
        return (yield from perform(Call("GET", _path(org), OrganizationDetails.read)))
    for organization in (yield from read_list(core, list_(core))):
        if organization.id == org:
            members = yield from perform(users.list_(core, org_id=org, limit=1).call(0))
            return OrganizationDetails.of(organization, members.total)
    raise PermissionDeniedError("You do not have access to this organization.", status_code=403)


def get_organization_members(core: Core, *, org_id: Id | None = None) -> "Flow[list[Member]]":
    """Read all members of an organization, with the roles that they have on the server."""
    if (yield from is_deployment(core)):
        return (yield from read_list(core, members.list_(core, org_id=org_id)))
    from .._deployment_models import Member

    return [Member.of(user) for user in (yield from read_list(core, users.list_(core, org_id=org_id)))]


def update_organization(
    core: Core,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    org_id: Id | None = None,
) -> "Flow[OrganizationDetails]":
    """Change the name or the settings of an organization on the deployment. A setting of None is removed.

    Codegen's agents do not use these settings. Raise NotSupportedError if the server is the Codegen API.
    """
    from .._deployment_models import OrganizationDetails

    yield from require_deployment(core, "changes to an organization")
    body = {"name": name, "settings": settings}
    call = Call("PATCH", _path(core.org(org_id)), OrganizationDetails.read, body=body)
    return (yield from perform(call))


def _path(org_id: int) -> str:
    return f"/v1/organizations/{org_id}"


class OrganizationsResource(Resource):
    """Organizations."""

    list = listing(list_)
    get = blocking(get_organization)
    update = blocking(update_organization)
    get_organization = blocking(get_organization)
    get_organization_usage = blocking(usage.get)
    get_organization_members = blocking(get_organization_members)
    update_organization = blocking(update_organization)


class AsyncOrganizationsResource(AsyncResource):
    """Organizations."""

    list = async_listing(list_)
    get = awaitable(get_organization)
    update = awaitable(update_organization)
    get_organization = awaitable(get_organization)
    get_organization_usage = awaitable(usage.get)
    get_organization_members = awaitable(get_organization_members)
    update_organization = awaitable(update_organization)
