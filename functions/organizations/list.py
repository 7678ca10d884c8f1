"""GET /v1/organizations - list the organizations of the caller."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import Organization, Page
from codegen_runs.access import own
from codegen_runs.http.admission import NO_ORGANIZATION
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import CurrentCaller, Limit, Skip

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations", tags=["Organizations"], summary="List the organizations of the caller")
@app.get("/organizations", include_in_schema=False)
def list_organizations(
    codegen: TransparentCodegen, caller: CurrentCaller, skip: Skip = 0, limit: Limit = 100
) -> Page[Organization]:
    """List the organizations that the caller is in."""
    return own.organizations(caller, codegen, skip=skip, limit=limit)


handler = endpoint(app, verbatim=True, organization=NO_ORGANIZATION)
