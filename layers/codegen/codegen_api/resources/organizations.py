"""Organizations: `api.organizations`."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from .._core import Core
from .._deployment import is_deployment, require_deployment
from .._errors import PermissionDeniedError
from .._flows import perform, read_cursor_list, read_list
from .._ids import Id
from .._models import Organization, Page
from .._pagination import PAGE_SIZE, Listing
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_iterating, awaitable, blocking, iterating
from . import users
from ._dates import iso_8601

if TYPE_CHECKING:
    from .._deployment_models import Member, OrganizationDetails, Usage


def list_(_core: Core, *, skip: int = 0, limit: int = PAGE_SIZE) -> "Call[Page[Organization]]":
    """Read one page of the organizations of the token's user."""
    return Call("GET", "/v1/organizations", Page[Organization].read, params={"skip": skip, "limit": limit})


def iter_(core: Core, *, skip: int = 0) -> Listing[Organization]:
    """Iterate over all organizations of the token's user, page by page."""
    return Listing.of_pages(lambda skip: list_(core, skip=skip), skip)


def get_organization(core: Core, *, org_id: Id | None = None) -> "Flow[OrganizationDetails]":
    """Read an organization, with its settings and the number of its members.

    The Codegen API has no such operation. There the client combines the lists of organizations and users.
    """
    from .._deployment_models import OrganizationDetails

    org = core.org(org_id)
    if (yield from is_deployment(core)):
        return (yield from perform(Call("GET", _path(org), OrganizationDetails.read)))
    for organization in (yield from read_list(iter_(core))):
        if organization.id == org:
            members = yield from perform(users.list_(core, org_id=org, limit=1))
            return OrganizationDetails.of(organization, members.total)
    raise PermissionDeniedError("You do not have access to this organization.", status_code=403)


def get_organization_usage(
    core: Core,
    start_date: "date | str | None" = None,
    end_date: "date | str | None" = None,
    *,
    org_id: Id | None = None,
) -> "Flow[Usage]":
    """Read the usage of an organization between two dates, times or ISO 8601 texts.

    Times without a zone are in the zone of this machine. Raise NotSupportedError if the server is the Codegen API.
    """
    from .._deployment_models import Usage

    yield from require_deployment(core, "the usage of an organization")
    params = {"start_date": iso_8601(start_date), "end_date": iso_8601(end_date)}
    call = Call("GET", f"{_path(core.org(org_id))}/usage", Usage.read, params=params)
    return (yield from perform(call))


def get_organization_members(core: Core, *, org_id: Id | None = None) -> "Flow[list[Member]]":
    """Read all members of an organization, with the roles that they have on the server."""
    from .._deployment_models import CursorPage, Member

    org = core.org(org_id)
    if not (yield from is_deployment(core)):
        return [Member.of(user) for user in (yield from read_list(users.iter_(core, org_id=org)))]
    read = CursorPage[Member].read
    path = f"{_path(org)}/members"
    return (yield from read_cursor_list(lambda cursor: Call("GET", path, read, params={"cursor": cursor})))


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

    list = blocking(list_)
    iter = iterating(iter_)
    get_organization = blocking(get_organization)
    get_organization_usage = blocking(get_organization_usage)
    get_organization_members = blocking(get_organization_members)
    update_organization = blocking(update_organization)


class AsyncOrganizationsResource(AsyncResource):
    """Organizations."""

    list = awaitable(list_)
    iter = async_iterating(iter_)
    get_organization = awaitable(get_organization)
    get_organization_usage = awaitable(get_organization_usage)
    get_organization_members = awaitable(get_organization_members)
    update_organization = awaitable(update_organization)
