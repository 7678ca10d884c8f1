"""GET /v1/mcp-providers - list the OAuth providers of MCP servers."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import OAuthProviders
from codegen_runs.http.admission import NO_ORGANIZATION
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/mcp-providers", tags=["OAuth"], summary="List the providers of MCP servers")
def list_mcp_providers(codegen: TransparentCodegen) -> OAuthProviders:
    """List the OAuth providers of MCP servers that Codegen knows."""
    return codegen.mcp_providers.list()


handler = endpoint(app, verbatim=True, organization=NO_ORGANIZATION)
