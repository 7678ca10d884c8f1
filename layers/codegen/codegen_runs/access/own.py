"""The upstream's operations about the owner of a token, for callers whose token is one of this deployment.

Codegen is asked as the deployment then, and would answer about the deployment's own user.
"""

from __future__ import annotations

from math import ceil

from codegen_api import CodegenAPI, NotFoundError, Organization, Page, User
from codegen_runs.callers import DEPLOYMENT, Caller


def user(caller: Caller, codegen: CodegenAPI) -> User:
    """Read the caller's own user. Raises `CodegenAPIError`."""
    if caller.kind != DEPLOYMENT:
        return codegen.users.me()
    if not caller.organizations:
        raise NotFoundError("User not found.", status_code=404)
    return codegen.users.get(caller.user_id, org_id=min(caller.organizations))


def organizations(caller: Caller, codegen: CodegenAPI, *, skip: int, limit: int) -> Page[Organization]:
    """Read a page of the caller's organizations. Raises `CodegenAPIError`."""
    if caller.kind != DEPLOYMENT:
        return codegen.organizations.list(skip=skip, limit=limit)
    hers = [each for each in codegen.organizations.iter() if caller.is_in(each.id)]
    return Page[Organization](
        items=hers[skip : skip + limit],
        total=len(hers),
        page=skip // limit + 1,
        size=limit,
        pages=ceil(len(hers) / limit),
    )
