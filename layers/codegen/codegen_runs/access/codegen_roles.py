"""What Codegen says of a user's role in an organization, which holds where this deployment has given none.

`users/me` has a role, too, but not of which organization: somebody who is an admin of her own would be one everywhere.
So each organization is asked.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from codegen_api import CodegenAPI, NotFoundError, PermissionDeniedError, User
from codegen_runs import upstream
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.roles import Role, at_codegen
from codegen_runs.storage.access import ApiToken

ASKING_SECONDS = 10.0
"""How long a request that manages something waits to be told that it may."""

_CONCURRENCY = 8


def role_of(user: User) -> Role:
    """Return the role of a user in the organization that was asked."""
    return at_codegen(user.role, is_admin=user.is_admin)


def own_role(caller: Caller, org_id: int) -> Role:
    """Ask for the role of a caller who brings a Codegen token. Raises `CodegenAPIError`."""
    try:
        return role_of(upstream.for_caller(caller, deadline=ASKING_SECONDS).users.get(caller.user_id, org_id=org_id))
    except NotFoundError:
        return Role.MEMBER


def known_roles(user_id: int, organizations: tuple[int, ...], codegen: CodegenAPI) -> dict[int, Role]:
    """Ask as the deployment in which of the organizations a user is, and with which role.

    What the deployment itself is not in, it cannot do anything in either.

    Raises:
        CodegenAPIError: Codegen cannot tell.
        CredentialsRefused: It refuses the deployment's token.
    """

    def ask(org_id: int) -> Role | None:
        try:
            return role_of(codegen.users.get(user_id, org_id=org_id))
        except (NotFoundError, PermissionDeniedError):
            return None

    with ThreadPoolExecutor(_CONCURRENCY) as threads:
        roles = dict(zip(organizations, threads.map(ask, organizations), strict=True))
    return {org_id: role for org_id, role in roles.items() if role is not None}


def maker_of(token: ApiToken, deadline: float) -> Caller:
    """Return the maker of a token as Codegen knows them now: where they are still in, and their roles there.

    Raises:
        CodegenAPIError, CredentialsRefused, NoDeploymentToken: Nobody can tell.
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
