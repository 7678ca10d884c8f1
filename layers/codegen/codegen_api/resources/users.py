"""Users: `api.users`."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from .._core import Core
from .._deployment import require_deployment
from .._flows import perform, read_list
from .._ids import Id, as_id, as_name
from .._models import Page, User
from .._pagination import PAGE_SIZE, Listing, by_cursor, by_position
from .._protocol import Call, Flow, no_content
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing
from . import members
from ._dates import iso_8601

if TYPE_CHECKING:
    from .._deployment_models import ApiToken, CursorPage


def list_(
    core: Core, *, org_id: Id | None = None, skip: int = 0, limit: int = PAGE_SIZE
) -> "Listing[User, Page[User]]":
    """List the users of an organization. `limit` is the size of a page."""
    path, read = f"/v1/organizations/{core.org(org_id)}/users", Page[User].read
    return by_position(lambda skip: Call("GET", path, read, params={"skip": skip, "limit": limit}), skip)


def get(core: Core, user_id: Id, *, org_id: Id | None = None) -> Call[User]:
    """Read one user of an organization."""
    return Call("GET", f"/v1/organizations/{core.org(org_id)}/users/{as_id(user_id)}", User.read)


def me(_core: Core) -> Call[User]:
    """Read the user of the token."""
    return Call("GET", "/v1/users/me", User.read)


def list_users(core: Core, *, org_id: Id | None = None) -> Flow[list[User]]:
    """Read all users of an organization, as the Codegen API returns them."""
    return (yield from read_list(core, list_(core, org_id=org_id)))


def create_api_token(  # noqa: D417 - callers do not pass `core`
    core: Core,
    name: str,
    expires_at: "date | str | None" = None,
    *,
    role: str | None = None,
    organizations: Sequence[Id] | None = None,
) -> "Flow[ApiToken]":
    """Create an API token of the deployment. Its secret is in `token`, and no other operation returns it.

    Args:
        name: The purpose of the token.
        expires_at: When the token expires; never if None. A time without a zone is in the zone of this machine.
        role: The highest role of the token: viewer, member or admin.
        organizations: The organizations that the token may access.

    Raises:
        NotSupportedError: The server is the Codegen API. You create its tokens on its web pages.
    """
    from .._deployment_models import ApiToken

    yield from require_deployment(core, TOKENS)
    body = {
        "name": name,
        "expires_at": iso_8601(expires_at),
        "role": role,
        "organizations": None if organizations is None else [as_id(org_id) for org_id in organizations],
    }
    # No idempotency key: it has no effect here, because a deployment would have to store the secret to replay it.
    return (yield from perform(Call("POST", TOKENS_PATH, ApiToken.read, body=body)))


def api_tokens(_core: Core, *, limit: int = PAGE_SIZE) -> "Listing[ApiToken, CursorPage[ApiToken]]":
    """List the API tokens of the caller, newest first, without their secrets. `limit` is the size of a page."""
    from .._deployment_models import ApiToken, CursorPage

    read = CursorPage[ApiToken].read
    return by_cursor(TOKENS, lambda cursor: Call("GET", TOKENS_PATH, read, params={"cursor": cursor, "limit": limit}))


def list_api_tokens(core: Core) -> "Flow[list[ApiToken]]":
    """Read all API tokens of the caller, newest first, without their secrets.

    Raise NotSupportedError if the server is the Codegen API.
    """
    return (yield from read_list(core, api_tokens(core)))


def revoke_api_token(core: Core, token_id: str) -> Flow[None]:
    """Revoke an API token of the caller. Raise NotSupportedError if the server is the Codegen API."""
    yield from require_deployment(core, TOKENS)
    yield Call("DELETE", f"{TOKENS_PATH}/{as_name(token_id)}", no_content)


TOKENS = "the management of API tokens"
TOKENS_PATH = "/v1/users/me/api-tokens"


class UsersResource(Resource):
    """Users."""

    list = listing(list_)
    get = blocking(get)
    me = blocking(me)
    get_current_user = me
    list_users = blocking(list_users)
    update_user = blocking(members.update)
    create_api_token = blocking(create_api_token)
    api_tokens = listing(api_tokens)
    list_api_tokens = blocking(list_api_tokens)
    revoke_api_token = blocking(revoke_api_token)


class AsyncUsersResource(AsyncResource):
    """Users."""

    list = async_listing(list_)
    get = awaitable(get)
    me = awaitable(me)
    get_current_user = me
    list_users = awaitable(list_users)
    update_user = awaitable(members.update)
    create_api_token = awaitable(create_api_token)
    api_tokens = async_listing(api_tokens)
    list_api_tokens = awaitable(list_api_tokens)
    revoke_api_token = awaitable(revoke_api_token)
