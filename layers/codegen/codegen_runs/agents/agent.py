"""Agents as callers send and read them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StrictInt, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from codegen_runs import forms
from codegen_runs.bodies import Body, IgnoredFields, Warned, json_text
from codegen_runs.events import timestamp
from codegen_runs.storage.agents import AgentProfile, AgentType

MAX_SYSTEM_PROMPT = 20_000
MAX_CONFIGURATION = 20_000
MAX_TAGS = 20


def _bounded(configuration: dict[str, Any]) -> dict[str, Any]:
    if len(json_text(configuration)) > MAX_CONFIGURATION:
        raise PydanticCustomError("too_long", f"Input should have at most {MAX_CONFIGURATION} characters as JSON")
    return configuration


def _distinct(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Description = Annotated[str, StringConstraints(max_length=2000)]
Configuration = Annotated[dict[str, Any], AfterValidator(_bounded)]
SystemPrompt = Annotated[str, StringConstraints(max_length=MAX_SYSTEM_PROMPT)]
Model = Annotated[str, StringConstraints(min_length=1, max_length=100)]
RepoId = Annotated[StrictInt, Field(ge=0, lt=2**63)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_distinct)]


class CreateAgent(Body):
    """A new agent."""

    id: Annotated[str, StringConstraints(pattern=forms.AGENT)] | None = Field(
        None,
        description="The name that runs and chats use, such as `customer_support`. Generated if absent.",
    )
    name: Name
    type: AgentType = AgentType.GENERAL
    description: Description | None = None
    configuration: Configuration = Field({}, description="Written in front of each task, as JSON.")
    system_prompt: SystemPrompt | None = Field(None, description="Instructions, written in front of each task.")
    model: Model | None = Field(None, description="Defaults to the organization's model.")
    repo_id: RepoId | None = Field(None, description="The repository for tasks that name none.")
    tags: Tags = Field([])

    def members(self) -> dict[str, Any]:
        """Return the fields of a profile that the caller sets, without the id."""
        return {name: getattr(self, name) for name in PROFILE_MEMBERS}


class UpdateAgent(Body):
    """Changes to an agent. Omitted fields stay, null removes a value; configuration and tags are replaced entirely."""

    version: StrictInt | None = Field(None, description="The version to change. 409 if it is not the current one.")
    name: Name | None = None
    type: AgentType | None = None
    description: Description | None = None
    configuration: Configuration | None = None
    system_prompt: SystemPrompt | None = None
    model: Model | None = None
    repo_id: RepoId | None = None
    tags: Tags | None = None

    @model_validator(mode="after")
    def _keep_required_fields(self) -> UpdateAgent:
        if removed := [name for name in ("name", "type") if name in self.model_fields_set and not getattr(self, name)]:
            raise PydanticCustomError("missing", f"An agent needs its {' and '.join(removed)}")
        return self

    def changes(self) -> dict[str, Any]:
        """Return the fields of a profile that change, with their new values."""
        empty: dict[str, Any] = {"configuration": {}, "tags": []}
        given = {name: getattr(self, name) for name in PROFILE_MEMBERS if name in self.model_fields_set}
        return {name: empty.get(name) if value is None else value for name, value in given.items()}


PROFILE_MEMBERS = ("name", "type", "description", "configuration", "system_prompt", "model", "repo_id", "tags")


class Agent(BaseModel):
    """An agent, in one of its versions."""

    id: str
    version: int = Field(description="The number of the version. Each change makes the next one; all stay readable.")
    name: str
    type: AgentType
    description: str | None = None
    configuration: dict[str, Any] = {}
    system_prompt: str | None = None
    model: str | None = None
    repo_id: int | None = None
    tags: list[str] = []
    created_at: str
    created_by: str
    updated_at: str = Field(description="When this version was created.")
    updated_by: str
    deleted_at: str | None = Field(None, description="Set in the versions of a deleted agent.")
    warnings: IgnoredFields = Field([])


class AgentPage(BaseModel):
    """A range of the agents, newest first."""

    items: list[Agent]
    total: int
    limit: int
    offset: int


def shown(profile: AgentProfile, warnings: list[Warned] | None = None) -> Agent:
    """Return a profile as callers see it."""
    times = {
        name: timestamp(time / 1000) if (time := getattr(profile, name)) else None
        for name in ("created_at", "updated_at", "deleted_at")
    }
    return Agent(**profile.model_dump() | times, warnings=warnings or [])
