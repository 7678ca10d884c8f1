"""OAuth tokens of the current user: `api.oauth_tokens`."""

from .._core import Core
from .._ids import Id
from .._protocol import Call, Json, any_json
from .._resource import AsyncResource, Resource, awaitable, blocking


def status(core: Core, *, org_id: Id | None = None) -> Call[Json]:
    """Read to which providers the current user is connected in an organization: a list of their names.

    The form of the response is not documented.
    """
    return Call("GET", "/v1/oauth/tokens/status", any_json, params={"org_id": core.org(org_id)})


def revoke(core: Core, provider: str, *, org_id: Id | None = None) -> Call[Json]:
    """Disconnect the current user from a provider in an organization.

    This revokes ALL tokens that the user has for the provider there. Agents can use the provider again after the user
    has connected to it again. The response is undocumented.
    """
    params = {"provider": provider, "org_id": core.org(org_id)}
    return Call("POST", "/v1/oauth/tokens/revoke", any_json, params=params)


class OauthTokensResource(Resource):
    """OAuth tokens of the current user."""

    status = blocking(status)
    revoke = blocking(revoke)


class AsyncOauthTokensResource(AsyncResource):
    """OAuth tokens of the current user."""

    status = awaitable(status)
    revoke = awaitable(revoke)
