"""GET /v1/oauth/tokens/status - list the providers that the caller is connected to."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.admission import in_query
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization, OrganizationInQuery

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/oauth/tokens/status", tags=["OAuth"], summary="List your connected providers")
def get_oauth_token_status(
    named: OrganizationInQuery,  # noqa: ARG001 - for the document
    org_id: Organization,
    codegen: TransparentCodegen,
) -> Any:
    """List the names of the providers that you are connected to in an organization. Needs a Codegen token."""
    return codegen.oauth_tokens.status(org_id=org_id)


handler = endpoint(app, verbatim=True, own_account=True, organization=in_query("org_id"))
