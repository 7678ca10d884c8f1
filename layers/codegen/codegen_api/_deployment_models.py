"""What only a deployment of Codegen Runs answers, as Pydantic models."""

from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import Field

from ._models import Model, Organization, User

T = TypeVar("T")


class CursorPage(Model, Generic[T]):
    """One page of a list of a deployment, and where it goes on."""

    items: list[T]
    next_cursor: str | None = None
    has_more: bool = False


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


class AgentType(StrEnum):
    """What an agent is good at."""

    GENERAL = "general"
    CODE_REVIEW = "code_review"
    ISSUE_RESOLVER = "issue_resolver"
    DOCUMENTATION = "documentation"
    TESTING = "testing"


class AgentProfile(Model):
    """An agent as the deployment tells of it."""

    id: str
    name: str
    type: str
    version: int | None = None
    description: str | None = None
    configuration: dict[str, Any]
    system_prompt: str | None = None
    model: str | None = None
    repo_id: int | None = None
    tags: list[str] | None = None
    created_at: str | None = None
    updated_at: str | None = None


class Candidate(Model):
    """One run of a multi-run."""

    index: int
    status: str
    agent_run_id: int | None = None
    result: str | None = None
    reason: str | None = None
    usable: bool | None = None
    log_count: int | None = None


class Answer(Model):
    """The answer of a multi-run, and where it comes from: synthesis, selected, only_candidate or fallback."""

    text: str
    source: str
    reason: str | None = None


class MultiRun(Model):
    """Several runs of one prompt, whose answers become one. Lists leave the candidates out."""

    id: str
    status: str
    prompt: str
    requested: int
    created_at: str | None = None
    finished_at: str | None = None
    answer: Answer | None = None
    reason: str | None = None
    counts: dict[str, int] | None = None
    candidates: list[Candidate] | None = None
    synthesis: dict[str, Any] | None = None

    def is_complete(self) -> bool:
        """Tell whether it has ended, well or not."""
        return self.status in ("completed", "failed", "cancelled")


class Star(Model):
    """A run that the caller wants to find again. `run` is its card, in lists."""

    agent_run_id: int
    starred: bool
    starred_at: str | None = None
    note: str | None = None
    run: dict[str, Any] | None = None
