"""GET /v1/organizations/{org_id}/integrations - list the integrations of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import Integrations
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/integrations", tags=["Integrations"], summary="List the integrations of an organization"
)
@app.get("/organizations/<org_id>/integrations", include_in_schema=False)
def list_integrations(org_id: Organization, codegen: TransparentCodegen) -> Integrations:
    """List the integrations of an organization."""
    return codegen.integrations.list(org_id=org_id)


handler = endpoint(app, verbatim=True)
