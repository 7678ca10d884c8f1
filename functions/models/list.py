"""GET /v1/organizations/{org_id}/models - list the models that an organization may use."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import Models
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/models", tags=["Models"], summary="List the models that an organization may use")
@app.get("/organizations/<org_id>/models", include_in_schema=False)
def list_models(org_id: Organization, codegen: TransparentCodegen) -> Models:
    """List the models that an organization's agents may use, and its default."""
    return codegen.models.list(org_id=org_id)


handler = endpoint(app, verbatim=True)
