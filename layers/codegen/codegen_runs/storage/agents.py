"""The agents table: one item per agent profile under its organization, and one per version of a profile.

| pk                  | sk                   | item                                   |
|---------------------|----------------------|----------------------------------------|
| `org#{org}`         | `agent#{id}`         | the `AgentProfile` in its last version |
| `agent#{org}#{id}`  | `version#{version}`  | the `AgentProfile` in one version      |

The index `newest` has the profiles of an organization by time of creation, without deleted profiles. The items of a
deleted profile stay: if its id is used again, the version numbers continue, and each version can still be read for the
runs that were started with it.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from codegen_runs.storage.table import ABSENT, Condition, Item, Table, transact


class AgentType(StrEnum):
    """What an agent is good at. Not the upstream's `agent_type`, which names what drives the model."""

    GENERAL = "general"
    CODE_REVIEW = "code_review"
    ISSUE_RESOLVER = "issue_resolver"
    DOCUMENTATION = "documentation"
    TESTING = "testing"


class AgentProfile(BaseModel):
    """An agent in one version. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    id: str
    version: int = 1
    """The number of the version, from 1."""
    name: str
    type: AgentType = AgentType.GENERAL
    description: str | None = None
    configuration: dict[str, Any] = {}
    system_prompt: str | None = None
    model: str | None = None
    repo_id: int | None = None
    tags: tuple[str, ...] = ()
    created_at: int
    created_by: str
    updated_at: int
    updated_by: str
    """The id of the caller who wrote this version."""
    deleted_at: int | None = None


class AgentsTable:
    """Agent profiles by organization. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def get(self, org_id: int, agent_id: str) -> AgentProfile | None:
        """Read the last version of a profile, also of a deleted one."""
        item = self._table.get(_key(org_id, agent_id))
        return _profile(item) if item else None

    def version(self, org_id: int, agent_id: str, version: int) -> AgentProfile | None:
        """Read one version of a profile."""
        item = self._table.get(_version_key(org_id, agent_id, version))
        return _profile(item) if item else None

    def versions(
        self, org_id: int, agent_id: str, limit: int, before: int | None = None
    ) -> tuple[list[AgentProfile], int | None]:
        """List versions before `before`, newest first, and the version before which to continue if there are more."""
        condition = Condition(
            "#pk = :pk AND begins_with(#sk, :sk)", {"pk": _versions_pk(org_id, agent_id), "sk": "version#"}
        )
        start = dict(_version_key(org_id, agent_id, before)) if before else None
        items, following = self._table.query(condition, limit=limit, newest_first=True, start=start)
        profiles = [_profile(item) for item in items]
        return profiles, profiles[-1].version if following else None

    def add(self, org_id: int, profile: AgentProfile) -> None:
        """Store a new profile with its first version. Raises `ConditionFailed` if the id exists already."""
        self._write(org_id, profile, ABSENT)

    def replace(self, org_id: int, profile: AgentProfile, known: AgentProfile) -> None:
        """Store the version of a profile after `known`. Raises `ConditionFailed` if `known` is not the last version."""
        self._write(org_id, profile, _last(known))

    def remove(self, org_id: int, known: AgentProfile, deleted_at: int) -> None:
        """Mark a profile as deleted. Raises `ConditionFailed` if `known` is not its last version."""
        self._table.update(_key(org_id, known.id), {"deleted_at": deleted_at, "listed_at": None}, _last(known))

    def newest(
        self, org_id: int, limit: int, after: tuple[int, str] | None = None
    ) -> tuple[list[AgentProfile], tuple[int, str] | None]:
        """List profiles, newest first, after a (`created_at`, `id`), and the one after which to continue."""
        start: Item | None = None
        if after:
            created_at, agent_id = after
            start = dict(_key(org_id, agent_id)) | {"listed_at": created_at}
        condition = Condition("#pk = :pk", {"pk": f"org#{org_id}"})
        items, following = self._table.query(condition, index="newest", limit=limit, newest_first=True, start=start)
        profiles = [_profile(item) for item in items]
        return profiles, (profiles[-1].created_at, profiles[-1].id) if following else None

    def _write(self, org_id: int, profile: AgentProfile, condition: Condition) -> None:
        # Stored as JSON text, because a configuration may contain numbers that DynamoDB cannot store.
        content = profile.model_dump(mode="json", exclude_none=True)
        content["configuration"] = json.dumps(profile.configuration)
        current = dict(_key(org_id, profile.id)) | content | {"listed_at": profile.created_at}
        version = dict(_version_key(org_id, profile.id, profile.version)) | content
        transact(
            [
                ("Put", self._table.put_action(current, condition)),
                ("Put", self._table.put_action(version, ABSENT)),
            ]
        )


def _last(known: AgentProfile) -> Condition:
    state = "attribute_exists(#deleted_at)" if known.deleted_at else "attribute_not_exists(#deleted_at)"
    return Condition(f"#version = :version AND {state}", {"version": known.version})


def _key(org_id: int, agent_id: str) -> dict[str, str]:
    return {"pk": f"org#{org_id}", "sk": f"agent#{agent_id}"}


def _versions_pk(org_id: int, agent_id: str) -> str:
    return f"agent#{org_id}#{agent_id}"


def _version_key(org_id: int, agent_id: str, version: int) -> dict[str, str]:
    return {"pk": _versions_pk(org_id, agent_id), "sk": f"version#{version:010}"}


def _profile(item: Item) -> AgentProfile:
    return AgentProfile.model_validate(item | {"configuration": json.loads(item["configuration"])})
