"""Users: `api.users`."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from .._core import Core
from .._deployment import needs_deployment
from .._flows import do, gather, gather_by_cursor
from .._ids import Id, as_id, as_name
from .._models import Page, User
from .._pagination import PAGE_SIZE, Listing
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, async_iterating, awaitable, blocking, iterating
from ._dates import moment

if TYPE_CHECKING:
    from .._deployment_models import ApiToken, Member


def list_(core: Core, *, org_id: Id | None = None, skip: int = 0, limit: int = PAGE_SIZE) -> "Call[Page[User]]":
    """Read one page of an organization's users."""
    return Call(
        "GET",
        f"/v1/organizations/{core.org(org_id)}/users",
        Page[User].model_validate_json,
        params={"skip": skip, "limit": limit},
    )


def iter_(core: Core, *, org_id: Id | None = None, skip: int = 0) -> Listing[User]:
    """Go through every user of an organization, page by page."""
    return Listing.of_pages(lambda skip: list_(core, org_id=org_id, skip=skip), skip)


def get(core: Core, user_id: Id, *, org_id: Id | None = None) -> Call[User]:
    """Read one user of an organization."""
    return Call("GET", f"/v1/organizations/{core.org(org_id)}/users/{as_id(user_id)}", User.model_validate_json)


def me(_core: Core) -> Call[User]:
    """Read the user whose token this is."""
    return Call("GET", "/v1/users/me", User.model_validate_json)


def list_users(core: Core, *, org_id: Id | None = None) -> Flow[list[User]]:
    """List all users of an organization, as Codegen has them."""
    return (yield from gather(iter_(core, org_id=org_id)))


def update_user(
    core: Core,
    user_id: Id,
    *,
    role: str | None = None,
    permissions: Sequence[str] | None = None,
    org_id: Id | None = None,
) -> "Flow[Member]":
    """Say what a user may do on a deployment: `role` is viewer, member or admin, and permissions may take from it.

    Raises NotSupportedError on Codegen itself.
    """
    from .._deployment_models import Member

    yield from needs_deployment(core, "changing a user")
    path = f"/v1/organizations/{core.org(org_id)}/users/{as_id(user_id)}"
    body = {"role": role, "permissions": None if permissions is None else list(permissions)}
    return (yield from do(Call("PATCH", path, Member.model_validate_json, body=body)))


def create_api_token(  # noqa: D417 - a caller never sees `core`
    core: Core,
    name: str,
    expires_at: "date | str | None" = None,
    *,
    role: str | None = None,
    organizations: Sequence[Id] | None = None,
) -> "Flow[ApiToken]":
    """Make an API token of the deployment. Its secret, `token`, is told this once.

    Args:
        name: What it is for.
        expires_at: Until when it is good; a time without a zone is in that of this machine. For ever if None.
        role: The most that it may do: viewer, member or admin.
        organizations: Where it may do that.

    Raises:
        NotSupportedError: The server is Codegen itself, whose tokens are made on its web pages.
    """
    from .._deployment_models import ApiToken

    yield from needs_deployment(core, TOKENS)
    body = {
        "name": name,
        "expires_at": moment(expires_at),
        "role": role,
        "organizations": None if organizations is None else [as_id(org_id) for org_id in organizations],
    }
    # Without an idempotency key, which has no effect here: to answer again, a deployment would have to keep the secret.
    return (yield from do(Call("POST", TOKENS_PATH, ApiToken.model_validate_json, body=body)))


def list_api_tokens(core: Core) -> "Flow[list[ApiToken]]":
    """List the caller's API tokens, newest first, without their secrets. Raises NotSupportedError on Codegen itself."""
    from .._deployment_models import ApiToken, CursorPage

    yield from needs_deployment(core, TOKENS)
    read = CursorPage[ApiToken].model_validate_json
    return (yield from gather_by_cursor(lambda cursor: Call("GET", TOKENS_PATH, read, params={"cursor": cursor})))


def revoke_api_token(core: Core, token_id: str) -> Flow[None]:
    """Revoke one of the caller's API tokens. Raises NotSupportedError on Codegen itself."""
    yield from needs_deployment(core, TOKENS)
    yield Call("DELETE", f"{TOKENS_PATH}/{as_name(token_id)}", lambda _content: None)


TOKENS = "API tokens"
TOKENS_PATH = "/v1/users/me/api-tokens"


class UsersResource(Resource):
    """Users."""

    list = blocking(list_)
    iter = iterating(iter_)
    get = blocking(get)
    me = blocking(me)
    get_current_user = me
    list_users = blocking(list_users)
    update_user = blocking(update_user)
    create_api_token = blocking(create_api_token)
    list_api_tokens = blocking(list_api_tokens)
    revoke_api_token = blocking(revoke_api_token)


class AsyncUsersResource(AsyncResource):
    """Users."""

    list = awaitable(list_)
    iter = async_iterating(iter_)
    get = awaitable(get)
    me = awaitable(me)
    get_current_user = me
    list_users = awaitable(list_users)
    update_user = awaitable(update_user)
    create_api_token = awaitable(create_api_token)
    list_api_tokens = awaitable(list_api_tokens)
    revoke_api_token = awaitable(revoke_api_token)
