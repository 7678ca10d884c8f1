"""Organizations: `api.organizations`."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from .._core import Core
from .._deployment import is_deployment, needs_deployment
from .._errors import PermissionDeniedError
from .._flows import do, gather, gather_by_cursor
from .._ids import Id
from .._models import Organization, Page
from .._pagination import PAGE_SIZE, Listing
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_iterating, awaitable, blocking, iterating
from . import users
from ._dates import moment

if TYPE_CHECKING:
    from .._deployment_models import Member, OrganizationDetails, Usage


def list_(_core: Core, *, skip: int = 0, limit: int = PAGE_SIZE) -> "Call[Page[Organization]]":
    """Read one page of the organizations the token's user is in."""
    return Call(
        "GET", "/v1/organizations", Page[Organization].model_validate_json, params={"skip": skip, "limit": limit}
    )


def iter_(core: Core, *, skip: int = 0) -> Listing[Organization]:
    """Go through every organization the token's user is in, page by page."""
    return Listing.of_pages(lambda skip: list_(core, skip=skip), skip)


def get_organization(core: Core, *, org_id: Id | None = None) -> "Flow[OrganizationDetails]":
    """Read an organization, with its settings and the number of its members.

    Codegen itself lists organizations and users; of these it is put together there.
    """
    from .._deployment_models import OrganizationDetails

    org = core.org(org_id)
    if (yield from is_deployment(core)):
        return (yield from do(Call("GET", _path(org), OrganizationDetails.model_validate_json)))
    for organization in (yield from gather(iter_(core))):
        if organization.id == org:
            members = yield from do(users.list_(core, org_id=org, limit=1))
            return OrganizationDetails.of(organization, members.total)
    raise PermissionDeniedError("You do not have access to this organization.", status_code=403)


def get_organization_usage(
    core: Core,
    start_date: "date | str | None" = None,
    end_date: "date | str | None" = None,
    *,
    org_id: Id | None = None,
) -> "Flow[Usage]":
    """Count what an organization used from one date, time or ISO 8601 text until another.

    Times without a zone are in the zone of this machine. Raises NotSupportedError on Codegen itself.
    """
    from .._deployment_models import Usage

    yield from needs_deployment(core, "the usage of an organization")
    params = {"start_date": moment(start_date), "end_date": moment(end_date)}
    call = Call("GET", f"{_path(core.org(org_id))}/usage", Usage.model_validate_json, params=params)
    return (yield from do(call))


def get_organization_members(core: Core, *, org_id: Id | None = None) -> "Flow[list[Member]]":
    """List all members of an organization, with the roles that hold on the server that is asked."""
    from .._deployment_models import CursorPage, Member

    org = core.org(org_id)
    if not (yield from is_deployment(core)):
        return [Member.of(user) for user in (yield from gather(users.iter_(core, org_id=org)))]
    read = CursorPage[Member].model_validate_json
    path = f"{_path(org)}/members"
    return (yield from gather_by_cursor(lambda cursor: Call("GET", path, read, params={"cursor": cursor})))


def update_organization(
    core: Core,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    org_id: Id | None = None,
) -> "Flow[OrganizationDetails]":
    """Change an organization's name or settings as its deployment shows them; a setting of None is taken back.

    Codegen's own agents go by Codegen's own settings. Raises NotSupportedError on Codegen itself.
    """
    from .._deployment_models import OrganizationDetails

    yield from needs_deployment(core, "changing an organization")
    body = {"name": name, "settings": settings}
    call = Call("PATCH", _path(core.org(org_id)), OrganizationDetails.model_validate_json, body=body)
    return (yield from do(call))


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
