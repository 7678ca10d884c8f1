"""List the members of an organization with their roles, and set the role of a member."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from codegen_api import CodegenAPI, User
from codegen_runs import cursors
from codegen_runs.access.codegen_roles import role_of
from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, IgnoredFields
from codegen_runs.callers import CODEGEN, Caller
from codegen_runs.events import timestamp
from codegen_runs.problems import CodegenTokenRequired, Conflict, RoleRequired, Unprocessable
from codegen_runs.roles import PERMISSIONS, Role
from codegen_runs.storage.access import AccessTable, Member
from codegen_runs.storage.table import ConditionFailed
from codegen_runs.upstream.unreadable import Unreadable, is_identified

PAGE = 100
MOST_SEARCHED = 1_000
"""How many members are searched for another admin before an admin may step down."""

_ATTEMPTS = 5


class LastAdmin(Conflict):
    """The change would leave the organization without an admin."""

    code = "last_admin"
    remedy = "Make another member an admin first."


class MembersChanging(Conflict):
    """Other requests are changing the members of the organization."""

    code = "members_changing"
    remedy = "Send the request again."
    retryable = True


class UpdateUser(Body):
    """A user's role and permissions in this deployment."""

    role: Role | None = Field(None, description="Unchanged if absent.")
    permissions: list[Literal["read", "write", "admin"]] | None = Field(
        None, description="At most the permissions of the role. All of them if absent."
    )

    @field_validator("permissions")
    @classmethod
    def _without_a_gap(cls, permissions: list[str] | None) -> list[str] | None:
        if permissions is None:
            return None
        given = [permission for permission in PERMISSIONS if permission in permissions]
        if not given or given != list(PERMISSIONS[: len(given)]):
            raise PydanticCustomError("permissions", "Input should be read, read and write, or read, write and admin")
        return given

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.role is None and self.permissions is None:
            raise PydanticCustomError("missing", "Input should have role or permissions")
        return self


class MemberCard(BaseModel):
    """A member of an organization."""

    id: int | None = Field(description="Null if Codegen's id cannot be read.")
    name: str | None = Field(None, description="The full name; the GitHub user name if there is none.")
    email: str | None = None
    github_username: str
    avatar_url: str | None = None
    role: Role
    permissions: list[str]
    codegen_role: str | None = Field(
        None, description="The role at Codegen, which applies if this deployment has given no role."
    )
    updated_at: str | None = Field(
        None, description="When this deployment gave the role; null if the role is Codegen's."
    )
    updated_by: str | None = None
    unreadable: Unreadable = []


class UpdatedMember(MemberCard):
    """A member with a changed role."""

    warnings: IgnoredFields = Field([])


def listed(
    org_id: int, *, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[MemberCard]:
    """List the members of an organization at Codegen, each with the role that applies in this deployment.

    Raises `InvalidCursor`, `CodegenAPIError`, `StorageUnavailable`.
    """
    listing = cursors.Listing.of(caller, "members", org_id)
    skip = listing.position(cursor, int) if cursor else 0
    users = backend.codegen.users.list(org_id=org_id, skip=skip, limit=limit).first
    given = backend.access.members(org_id, [user.id for user in users.items if is_identified(user)])
    following = skip + len(users.items)
    more = bool(users.items) and following < users.total
    cards = [MemberCard(**_members(user, given.get(user.id))) for user in users.items]
    return listing.page(cards, str(following) if more else None)


def update(request: UpdateUser, *, org_id: int, user_id: int, caller: Caller, backend: Backend) -> UpdatedMember:
    """Set the role of a user. The edge has checked that the caller is an admin; this is checked again before the write.

    Raises:
        CodegenTokenRequired: The caller has an API token of this deployment.
        NotFoundError: The user is not in the organization.
        RoleRequired: The caller has just lost the role of an admin.
        LastAdmin: The caller is the only admin.
        Unprocessable: The permissions exceed the role.
        MembersChanging: Other requests have changed the members before each attempt.
        CodegenAPIError, StorageUnavailable: Nothing was changed.
    """
    if caller.kind != CODEGEN:
        raise CodegenTokenRequired("An API token of this deployment cannot give roles, which would outlive it.")
    codegen, table = backend.codegen, backend.access
    user = codegen.users.get(user_id, org_id=org_id)
    for _ in range(_ATTEMPTS):
        record = table.organization(org_id)  # Read first: if anything is written after this, the write below fails.
        _check_still_admin(caller, org_id, table)
        member = _changed(request, user, table.member(org_id, user_id), org_id, caller, now=backend.clock.now())
        steps_down = user_id == caller.user_id and member.effective_role is not Role.ADMIN
        if steps_down and not _another_admin(org_id, user_id, codegen, table):
            raise LastAdmin("You are the only admin of the organization.")
        try:
            table.write_member(member, record)
        except ConditionFailed:
            continue
        return UpdatedMember(**_members(user, member), warnings=request.ignored())
    raise MembersChanging("Other requests are changing the members of the organization.")


def _check_still_admin(caller: Caller, org_id: int, table: AccessTable) -> None:
    own = table.member(org_id, caller.user_id)
    if own and own.effective_role is not Role.ADMIN:
        raise RoleRequired(own.effective_role, Role.ADMIN, org_id)


def _changed(
    request: UpdateUser, user: User, given: Member | None, org_id: int, caller: Caller, *, now: float
) -> Member:
    role = request.role or (given.role if given else role_of(user))
    permissions = role.permissions if request.permissions is None else tuple(request.permissions)
    if len(permissions) > len(role.permissions):
        raise Unprocessable(
            errors=[
                {
                    "loc": ["body", "permissions"],
                    "msg": f"Input should not exceed those of a {role}: {', '.join(role.permissions)}",
                    "type": "exceeds_role",
                }
            ]
        )
    return Member(
        org_id=org_id,
        user_id=user.id,
        role=role,
        permissions=permissions,
        updated_at=int(now),
        updated_by=caller.id,
    )


def _another_admin(org_id: int, user_id: int, codegen: CodegenAPI, table: AccessTable) -> bool:
    for skip in range(0, MOST_SEARCHED, PAGE):
        users = codegen.users.list(org_id=org_id, skip=skip, limit=PAGE).first
        given = table.members(org_id, [user.id for user in users.items])
        for user in filter(is_identified, users.items):
            member = given.get(user.id)
            role = member.effective_role if member else role_of(user)
            if user.id != user_id and role is Role.ADMIN:
                return True
        if not users.items or skip + len(users.items) >= users.total:
            return False
    return False


def _members(user: User, given: Member | None) -> dict[str, object]:
    role = given.role if given else role_of(user)
    return {
        "id": user.id if is_identified(user) else None,
        "name": user.full_name or user.github_username,
        "email": user.email,
        "github_username": user.github_username,
        "avatar_url": user.avatar_url,
        "role": role,
        "permissions": list(given.permissions if given else role.permissions),
        "codegen_role": user.role,
        "updated_at": timestamp(given.updated_at) if given else None,
        "updated_by": given.updated_by if given else None,
        "unreadable": user.unreadable,
    }
