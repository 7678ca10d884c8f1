"""The responses that only a deployment of Codegen Runs has, as Pydantic models."""

from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import Field

from ._models import Model, Organization, User

T = TypeVar("T")


class CursorPage(Model, Generic[T]):
    """One page of a list, and the cursor of the next page."""

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
        """Make one from the models of the Codegen API."""
        settings = organization.settings.model_dump()
        return cls(id=organization.id, name=organization.name, settings=settings, members_count=members_count)


class Member(Model):
    """A member of an organization.

    The roles of a deployment are viewer, member and admin, and come with permissions. The roles of the Codegen API are
    ADMIN, MANAGER and MEMBER, without permissions.
    """

    id: int
    name: str | None = None
    email: str | None = None
    role: str | None = None
    permissions: list[str] | None = None

    @classmethod
    def of(cls, user: User) -> "Member":
        """Make one from the models of the Codegen API."""
        return cls(id=user.id, name=user.name, email=user.email, role=user.role)


class Usage(Model):
    """The usage of an organization in a period, counted by the deployment: `runs.total`, `runs.by_status` and more."""

    organization_id: int
    start_date: str
    end_date: str
    runs: dict[str, Any]
    complete: bool | None = None


class ApiToken(Model):
    """An API token of a deployment. Only `create_api_token` returns its secret, in `token`."""

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
    """The type of work that an agent is made for."""

    GENERAL = "general"
    CODE_REVIEW = "code_review"
    ISSUE_RESOLVER = "issue_resolver"
    DOCUMENTATION = "documentation"
    TESTING = "testing"


class AgentProfile(Model):
    """An agent, as a deployment returns it."""

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
    summary: str | None = None
    branch_name: str | None = None
    pull_requests: list[dict[str, Any]] | None = None
    web_url: str | None = None
    link: str | None = None


class Answer(Model):
    """The answer of a multi-run. `source` is synthesis, selected, only_candidate, fallback or picked."""

    text: str
    source: str
    candidate: int | None = None
    reason: str | None = None
    pull_requests: list[dict[str, Any]] | None = None
    stands_for: str | None = None


class Pick(Model):
    """A person's choice of a candidate."""

    candidate: int
    picked_by: str
    picked_at: str
    reason: str | None = None


class MultiRun(Model):
    """Several runs of one prompt and the one answer made of theirs. Lists omit the candidates."""

    id: str
    status: str
    prompt: str
    requested: int
    created_at: str | None = None
    finished_at: str | None = None
    answer: Answer | None = None
    pick: Pick | None = None
    reason: str | None = None
    counts: dict[str, int] | None = None
    candidates: list[Candidate] | None = None
    synthesis: dict[str, Any] | None = None
    losers: list[dict[str, Any]] | None = None
    """After a pick with `close_losers`: the other candidates' pull requests, each with its `outcome` and `detail`."""

    def is_complete(self) -> bool:
        """Return whether the multi-run has ended, successfully or not."""
        return self.status in ("completed", "failed", "cancelled")


class ComparedCandidate(Model):
    """A candidate and the facts about its run, in `evidence`. Unknown values are None."""

    index: int
    status: str
    usable: bool | None = None
    agent_run_id: int | None = None
    answer_characters: int | None = None
    evidence: dict[str, Any] | None = None
    rank: int | None = None
    rank_reasons: list[str] | None = None


class Comparison(Model):
    """The candidates of a multi-run side by side."""

    multi_run_id: str
    status: str
    candidates: list[ComparedCandidate]
    files: dict[str, Any] | None = None
    agreement: dict[str, Any] | None = None
    provenance: dict[str, Any] | None = None


class Star(Model):
    """A starred run of the caller. In lists, `run` is the run card."""

    agent_run_id: int
    starred: bool
    starred_at: str | None = None
    note: str | None = None
    run: dict[str, Any] | None = None
