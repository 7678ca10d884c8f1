"""OAuth providers of MCP servers: `api.mcp_providers`."""

from pydantic import TypeAdapter

from .._core import Core
from .._models import OAuthProvider
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def list_(_core: Core) -> Call[list[OAuthProvider]]:
    """Read the OAuth providers of MCP servers that Codegen knows."""
    return Call("GET", "/v1/mcp-providers", TypeAdapter(list[OAuthProvider]).validate_json)


class McpProvidersResource(Resource):
    """OAuth providers of MCP servers."""

    list = blocking(list_)


class AsyncMcpProvidersResource(AsyncResource):
    """OAuth providers of MCP servers."""

    list = awaitable(list_)
