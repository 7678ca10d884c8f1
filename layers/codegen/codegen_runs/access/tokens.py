"""Create, list and revoke API tokens of this deployment."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from pydantic import BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from codegen_api import CodegenAPI
from codegen_runs import cursors, settings
from codegen_runs.access import secret
from codegen_runs.access.codegen_roles import known_roles
from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, IgnoredFields
from codegen_runs.callers import CODEGEN, Caller
from codegen_runs.events import timestamp
from codegen_runs.problems import CodegenTokenRequired, Conflict, NotAMember, NotFound, RoleRequired, Unprocessable
from codegen_runs.roles import Role
from codegen_runs.storage.access import AccessTable, ApiToken

MOST_ORGANIZATIONS = 10
MAX_NAME_CHARACTERS = 100

_ID = re.compile(r"tok-[0-9a-f]{9}-[0-9a-f]{10}")


class ApiTokenNotFound(NotFound):
    """The caller has no token with this id, or has an API token, which knows only itself."""

    code = "api_token_not_found"
    remedy = "Check the id. To list or revoke your other tokens, send your Codegen token."


class DeploymentNotInOrganization(Conflict):
    """The deployment's own Codegen token, which API tokens act with, has no access to the organization."""

    code = "deployment_not_in_organization"
    remedy = "Name only organizations that the deployment's own Codegen token has access to."


class TooManyApiTokens(Conflict):
    """The caller has as many API tokens as this deployment allows."""

    code = "too_many_api_tokens"
    remedy = "Revoke a token that you no longer use with DELETE /v1/users/me/api-tokens/{token_id}."
    capped = True


class CreateApiToken(Body):
    """A new API token: its name, its role and its organizations."""

    name: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    expires_at: datetime | None = Field(
        None, description="When the token expires; in UTC if it has no time zone. The token never expires if absent."
    )
    role: Role = Field(
        Role.MEMBER, description="The highest role of the token. It never exceeds the role of the user who created it."
    )
    organizations: list[int] | None = Field(
        None,
        min_length=1,
        max_length=MOST_ORGANIZATIONS,
        description="Where the token is valid. If absent: the deployment's organization, or all of its creator's.",
    )

    @field_validator("name")
    @classmethod
    def _not_blank(cls, name: str) -> str:
        if not name.strip():
            raise PydanticCustomError("blank", "Input should not be blank")
        return name.strip()

    @field_validator("expires_at")
    @classmethod
    def _in_utc(cls, expires_at: datetime | None) -> datetime | None:
        if expires_at is None:
            return None
        try:
            return expires_at.replace(tzinfo=UTC) if expires_at.tzinfo is None else expires_at.astimezone(UTC)
        except OverflowError:
            raise PydanticCustomError("out_of_range", "Input should be a time of the years 1 to 9999") from None


class ApiTokenCard(BaseModel):
    """An API token without its secret."""

    id: str
    name: str
    prefix: str = Field(description="The first characters of the token.")
    role: Role
    organizations: list[int]
    created_at: str
    expires_at: str | None = None
    last_used_at: str | None = Field(None, description="Accurate to the hour.")
    expired: bool


class NewApiToken(ApiTokenCard):
    """A new API token with its secret."""

    token: str = Field(description="The secret, which is shown only in this answer.")
    warnings: IgnoredFields = Field([])


def create(request: CreateApiToken, *, caller: Caller, deployment: CodegenAPI, backend: Backend) -> NewApiToken:
    """Create a token that cannot do more than its creator.

    Args:
        request: The request.
        caller: The creator.
        deployment: A client that acts as the deployment, as calls with the token will.
        backend: The backend.

    Raises:
        CodegenTokenRequired: The caller has an API token of this deployment.
        Unprocessable: The token would have expired already, or the request must name organizations because the caller
            is in too many.
        NotAMember: The caller is not in one of the organizations.
        RoleRequired: The caller's role in one of the organizations is lower than the token's.
        DeploymentNotInOrganization: The deployment is not in one of the organizations, so the token would be useless.
        TooManyApiTokens: The caller has too many tokens that are valid.
        CodegenAPIError, CredentialsRefused, StorageUnavailable: The roles could not be read. No token was created.
    """
    if caller.kind != CODEGEN:
        raise CodegenTokenRequired("An API token of this deployment cannot create another one, which could outlive it.")
    now, table = int(backend.clock.now()), backend.access
    expires_at = int(request.expires_at.timestamp()) if request.expires_at else None
    if expires_at is not None and expires_at <= now:
        raise _fault("expires_at", "in_the_past", "Input should be in the future")
    organizations = _organizations(request, caller)
    _check(request.role, organizations, caller, deployment, table)
    secret_token = secret.mint()

    def make(number: int) -> ApiToken:
        return ApiToken(
            # Ids sort by time. The number puts the tokens of one second into their order.
            id=f"tok-{now:09x}-{number % 0x10000:04x}{secrets.token_hex(3)}",
            user_id=caller.user_id,
            name=request.name,
            prefix=secret_token[: secret.SHOWN],
            role=request.role,
            organizations=organizations,
            created_at=now,
            expires_at=expires_at,
        )

    most = settings.cap("API_TOKENS_PER_CALLER")
    token = table.add_token(make, secret.digest(secret_token), user_id=caller.user_id, now=now, most=most)
    if token is None:
        raise TooManyApiTokens(f"You have {most} API tokens, and no more are allowed.")
    return NewApiToken(**_members(token, now), token=secret_token, warnings=request.ignored())


def newest(*, caller: Caller, limit: int, cursor: str | None, backend: Backend) -> cursors.CursorPage[ApiTokenCard]:
    """List the caller's tokens that are not revoked, newest first; with an API token, this token only.

    Raises `InvalidCursor`, `StorageUnavailable`.
    """
    listing = cursors.Listing.of(caller, "api-tokens")
    before = listing.position(cursor, str) if cursor else None
    if caller.kind == CODEGEN:
        tokens, position = backend.access.tokens(caller.user_id, limit, before)
    else:
        own = backend.access.token(caller.user_id, caller.token_id)
        tokens, position = [own] if own else [], None
    now = int(backend.clock.now())
    return listing.page([ApiTokenCard(**_members(token, now)) for token in tokens], position)


def revoke(token_id: str, *, caller: Caller, backend: Backend) -> None:
    """Revoke a token of the caller; again has no effect. An API token can revoke only itself.

    Raises `ApiTokenNotFound`, `StorageUnavailable`.
    """
    now = int(backend.clock.now())
    if caller.kind != CODEGEN and token_id != caller.token_id:
        raise ApiTokenNotFound("An API token of this deployment can revoke only itself.")
    if not _ID.fullmatch(token_id) or not backend.access.revoke_token(caller.user_id, token_id, now):
        raise ApiTokenNotFound(f"You have no API token {token_id}.")


def _organizations(request: CreateApiToken, caller: Caller) -> tuple[int, ...]:
    default = settings.codegen_org_id()
    if request.organizations is not None:
        named = set(request.organizations)
    elif default is not None and caller.is_in(default):
        named = {default}
    else:
        named = set(caller.organizations)
        if len(named) > MOST_ORGANIZATIONS:
            raise _fault("organizations", "too_long", f"Name at most {MOST_ORGANIZATIONS} organizations")
    if not named or not named <= caller.organizations:
        raise NotAMember
    return tuple(sorted(named))


def _check(
    role: Role, organizations: tuple[int, ...], caller: Caller, deployment: CodegenAPI, table: AccessTable
) -> None:
    """Refuse a token that exceeds its creator, by the current roles and not those that the authorizer has cached."""
    known = known_roles(caller.user_id, organizations, deployment)
    for org_id in organizations:
        if org_id not in known:
            raise DeploymentNotInOrganization(
                f"You were not found in organization {org_id} with the deployment's own Codegen token."
            )
    roles = known | table.roles(caller.user_id, organizations)
    for org_id in organizations:
        # Creating a token requires the role member, even for a token that can only read.
        needed = role if role.includes(Role.MEMBER) else Role.MEMBER
        if not roles[org_id].includes(needed):
            raise RoleRequired(roles[org_id], needed, org_id)


def _members(token: ApiToken, now: int) -> dict[str, object]:
    return token.model_dump(include={"id", "name", "prefix", "role", "organizations"}) | {
        "created_at": timestamp(token.created_at),
        "expires_at": timestamp(token.expires_at) if token.expires_at else None,
        "last_used_at": timestamp(token.last_used_at - token.last_used_at % 3600) if token.last_used_at else None,
        "expired": token.expires_at is not None and token.expires_at <= now,
    }


def _fault(field: str, kind: str, message: str) -> Unprocessable:
    return Unprocessable(errors=[{"loc": ["body", field], "msg": message, "type": kind}])
