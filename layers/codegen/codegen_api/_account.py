"""What a deployment of Codegen Runs answers about organizations, members and API tokens."""

from typing import Any, TypeVar

from pydantic import Field

from ._models import Model, Organization, User

T = TypeVar("T")


class OrganizationDetails(Model):
    """An organization with the number of its members."""

    id: int
    name: str
    settings: dict[str, Any]
    members_count: int

    @classmethod
    def of(cls, organization: Organization, members_count: int) -> "OrganizationDetails":
        """Make one of what Codegen itself tells."""
        settings = organization.settings.model_dump()
        return cls(id=organization.id, name=organization.name, settings=settings, members_count=members_count)


class Member(Model):
    """A member of an organization.

    A deployment's roles are viewer, member and admin, and bring permissions. Of Codegen itself come ADMIN, MANAGER and
    MEMBER, and no permissions.
    """

    id: int
    name: str | None = None
    email: str | None = None
    role: str | None = None
    permissions: list[str] | None = None

    @classmethod
    def of(cls, user: User) -> "Member":
        """Make one of what Codegen itself tells."""
        return cls(id=user.id, name=user.name, email=user.email, role=user.role)


class Usage(Model):
    """What an organization used in a time: `runs.total`, `runs.by_status` and more, as the deployment counts it."""

    organization_id: int
    start_date: str
    end_date: str
    runs: dict[str, Any]
    complete: bool | None = None


class ApiToken(Model):
    """An API token of a deployment. Only `create_api_token` answers with its secret, once."""

    id: str
    name: str
    prefix: str | None = None
    role: str | None = None
    organizations: list[int] | None = None
    created_at: str | None = None
    expires_at: str | None = None
    last_used_at: str | None = None
    expired: bool | None = None
    token: str | None = Field(default=None, repr=False)
