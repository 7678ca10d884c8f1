"""OAuth providers of MCP servers: `api.mcp_providers`."""

from .._core import Core
from .._models import OAuthProviders, read_oauth_providers
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def list_(_core: Core) -> Call[OAuthProviders]:
    """Read the OAuth providers of MCP servers that Codegen knows."""
    return Call("GET", "/v1/mcp-providers", read_oauth_providers)


class McpProvidersResource(Resource):
    """OAuth providers of MCP servers."""

    list = blocking(list_)


class AsyncMcpProvidersResource(AsyncResource):
    """OAuth providers of MCP servers."""

    list = awaitable(list_)
