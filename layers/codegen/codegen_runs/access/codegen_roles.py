"""A user's role in an organization at Codegen, which applies if this deployment has given no role.

`users/me` has a role, too, but does not say in which organization. An admin of one organization would be an admin of
all. Therefore the user is read in each organization.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from codegen_api import CodegenAPI, NotFoundError, PermissionDeniedError, User
from codegen_runs import upstream
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.roles import Role, at_codegen
from codegen_runs.storage.access import ApiToken

ASKING_SECONDS = 10.0
"""How many seconds a request to an operation for admins waits for the caller's role."""

_CONCURRENCY = 8


def role_of(user: User) -> Role:
    """Return the role of a user in the organization in which the user was read."""
    return at_codegen(user.role, is_admin=user.is_admin)


def own_role(caller: Caller, org_id: int) -> Role:
    """Return the role of a caller with a Codegen token. Raises `CodegenAPIError`."""
    try:
        return role_of(upstream.for_caller(caller, deadline=ASKING_SECONDS).users.get(caller.user_id, org_id=org_id))
    except NotFoundError:
        return Role.MEMBER


def role_in(caller: Caller, org_id: int) -> Role:
    """Return the role of a caller in an organization: the recorded one, or else Codegen's. Raises `CodegenAPIError`."""
    return caller.roles[org_id] if org_id in caller.roles else own_role(caller, org_id)


def known_roles(user_id: int, organizations: tuple[int, ...], codegen: CodegenAPI) -> dict[int, Role]:
    """Return in which of the organizations a user is, with the role in each. The deployment's token is used.

    An organization that the deployment is not in is left out, because the deployment cannot act in it.

    Raises:
        CodegenAPIError: Codegen did not answer, or failed.
        CredentialsRefused: Codegen refuses the deployment's token.
    """

    def known_role(org_id: int) -> Role | None:
        try:
            return role_of(codegen.users.get(user_id, org_id=org_id))
        except (NotFoundError, PermissionDeniedError):
            return None

    with ThreadPoolExecutor(_CONCURRENCY) as threads:
        roles = dict(zip(organizations, threads.map(known_role, organizations), strict=True))
    return {org_id: role for org_id, role in roles.items() if role is not None}


def maker_of(token: ApiToken, deadline: float) -> Caller:
    """Return the creator of a token, with the organizations and roles that Codegen has now.

    Raises:
        CodegenAPIError, CredentialsRefused, NoDeploymentToken: Codegen could not be asked.
        StorageUnavailable: The deployment's token cannot be read.
    """
    roles = known_roles(token.user_id, token.organizations, upstream.for_deployment(deadline))
    return Caller(
        id=f"user:{token.user_id}",
        user_id=token.user_id,
        organizations=frozenset(roles),
        kind=DEPLOYMENT,
        roles=roles,
        token_id=token.id,
    )
