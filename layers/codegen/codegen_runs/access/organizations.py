"""An organization as this deployment shows it: Codegen's data, overridden by what was set in this deployment.

The upstream can list organizations but not change them, so a name and settings that are set here apply in this
deployment only. The field `codegen` has the values that Codegen itself uses.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from codegen_api import CodegenAPI, Organization
from codegen_runs.access.codegen_roles import role_in
from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, Warned, json_text
from codegen_runs.callers import Caller
from codegen_runs.events import timestamp
from codegen_runs.problems import Conflict, NotAMember
from codegen_runs.roles import Role
from codegen_runs.storage.access import OrganizationRecord
from codegen_runs.storage.table import ConditionFailed

MAX_NAME_CHARACTERS = 100
MAX_SETTINGS_CHARACTERS = 16_000
"""The most characters of all settings of an organization together, as JSON."""

_MOST_SEARCHED = 1_000  # How many of the caller's organizations are searched for the requested one.
_ATTEMPTS = 5


class OrganizationChanging(Conflict):
    """Other requests are changing the organization."""

    code = "organization_changing"
    remedy = "Send the request again."
    retryable = True


class UpdateOrganization(Body):
    """Changes to the name or the settings that this deployment shows."""

    name: str | None = Field(
        None, min_length=1, max_length=MAX_NAME_CHARACTERS, description="Null restores Codegen's name."
    )
    settings: dict[str, Any] | None = Field(
        None, description="Settings by name, added to the existing ones. Null removes a setting."
    )

    @field_validator("settings")
    @classmethod
    def _not_too_large(cls, settings: dict[str, Any] | None) -> dict[str, Any] | None:
        if len(json_text(settings)) > MAX_SETTINGS_CHARACTERS:
            raise PydanticCustomError("too_long", f"Input should have at most {MAX_SETTINGS_CHARACTERS} characters")
        return settings

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not {"name", "settings"} & self.model_fields_set:
            raise PydanticCustomError("missing", "Input should have name or settings")
        return self


class AtCodegen(BaseModel):
    """An organization's name and settings at Codegen."""

    name: str
    settings: dict[str, Any]


class OrganizationCard(BaseModel):
    """An organization as this deployment shows it."""

    id: int
    name: str
    settings: dict[str, Any] = Field(
        description="Codegen's settings, overridden by those that were set in this deployment."
    )
    members_count: int
    role: Role = Field(description="Your role in the organization: that of your token, if it has a lower one.")
    updated_at: str | None = Field(
        None, description="When the name or a setting was last changed in this deployment; null if never."
    )
    updated_by: str | None = None
    codegen: AtCodegen


class UpdatedOrganization(OrganizationCard):
    """A changed organization."""

    warnings: list[Warned] = Field([], description="Accepted fields that have less effect than expected.")


def get(org_id: int, *, caller: Caller, backend: Backend) -> OrganizationCard:
    """Read an organization. Raises `NotAMember`, `CodegenAPIError`, `StorageUnavailable`."""
    organization = _at_codegen(org_id, backend.codegen)
    return OrganizationCard(**_members(organization, backend.access.organization(org_id), caller, backend.codegen))


def update(request: UpdateOrganization, *, org_id: int, caller: Caller, backend: Backend) -> UpdatedOrganization:
    """Change what this deployment shows of an organization.

    Raises:
        NotAMember: Codegen does not list the organization.
        OrganizationChanging: Other requests have changed the organization before each attempt.
        SettingsTooLarge: Together with the existing settings, the new ones would exceed the limit.
        CodegenAPIError, StorageUnavailable: Nothing was changed.
    """
    organization, table = _at_codegen(org_id, backend.codegen), backend.access
    for _ in range(_ATTEMPTS):
        record = table.organization(org_id)
        changes = {"name": request.name} if "name" in request.model_fields_set else {}
        merged = {
            name: value for name, value in (record.settings | (request.settings or {})).items() if value is not None
        }
        if len(json.dumps(merged)) > MAX_SETTINGS_CHARACTERS:
            raise SettingsTooLarge(f"The settings would have more than {MAX_SETTINGS_CHARACTERS} characters.")
        stamp = {"updated_at": int(backend.clock.now()), "updated_by": caller.id}
        try:
            record = table.write_organization(record, **changes, settings=merged, **stamp)
        except ConditionFailed:
            continue
        warnings = request.ignored() + _unchanged_at_codegen(request, organization)
        return UpdatedOrganization(**_members(organization, record, caller, backend.codegen), warnings=warnings)
    raise OrganizationChanging("Other requests are changing the organization.")


class SettingsTooLarge(Conflict):
    """The settings would be too large."""

    code = "settings_too_large"
    remedy = "Remove settings by setting them to null."


def _at_codegen(org_id: int, codegen: CodegenAPI) -> Organization:
    for organization in islice(codegen.organizations.list(), _MOST_SEARCHED):
        if organization.id == org_id:
            return organization
    raise NotAMember


def _unchanged_at_codegen(request: UpdateOrganization, organization: Organization) -> list[Warned]:
    own = organization.settings.model_dump()
    pointers = [f"/settings/{name}" for name in request.settings or {} if name in own]
    if request.name is not None:
        pointers.append("/name")
    detail = (
        "This applies in this deployment only: Codegen's API cannot change it. Codegen's agents use Codegen's value."
    )
    return [Warned(code="not_changed_at_codegen", pointer=pointer, detail=detail) for pointer in pointers]


def _members(
    organization: Organization, record: OrganizationRecord, caller: Caller, codegen: CodegenAPI
) -> dict[str, Any]:
    at_codegen = AtCodegen(name=organization.name, settings=organization.settings.model_dump())
    return {
        "id": organization.id,
        "name": record.name or organization.name,
        "settings": at_codegen.settings | record.settings,
        "members_count": codegen.users.list(org_id=organization.id, limit=1).first.total,
        "role": role_in(caller, organization.id),
        "updated_at": timestamp(record.updated_at) if record.updated_at else None,
        "updated_by": record.updated_by,
        "codegen": at_codegen,
    }
