"""The upstream's operations about the owner of a token, also for callers with an API token of this deployment.

For these callers Codegen gets the deployment's token, and would answer about the deployment's own user.
"""

from __future__ import annotations

from math import ceil

from codegen_api import CliRules, CodegenAPI, NotFoundError, Organization, Page, User
from codegen_runs.callers import DEPLOYMENT, Caller


def user(caller: Caller, codegen: CodegenAPI) -> User:
    """Return the user of the caller. Raises `CodegenAPIError`."""
    if caller.kind != DEPLOYMENT:
        return codegen.users.me()
    if not caller.organizations:
        raise NotFoundError("User not found.", status_code=404)
    return codegen.users.get(caller.user_id, org_id=min(caller.organizations))


def organizations(caller: Caller, codegen: CodegenAPI, *, skip: int, limit: int) -> Page[Organization]:
    """Return a page of the caller's organizations. Raises `CodegenAPIError`."""
    if caller.kind != DEPLOYMENT:
        return codegen.organizations.list(skip=skip, limit=limit).first
    own = [organization for organization in codegen.organizations.list() if caller.is_in(organization.id)]
    return Page[Organization](
        items=own[skip : skip + limit],
        total=len(own),
        page=skip // limit + 1,
        size=limit,
        pages=ceil(len(own) / limit),
    )


def rules(caller: Caller, codegen: CodegenAPI, *, org_id: int) -> CliRules:
    """Return an organization's rules for agents, with the caller's own prompt. Raises `CodegenAPIError`.

    The prompt of a caller with an API token of this deployment is not known. It is null.
    """
    found = codegen.cli_rules.get(org_id=org_id)
    return found if caller.kind != DEPLOYMENT else found.model_copy(update={"user_custom_prompt": None})
