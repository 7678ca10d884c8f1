"""GET /v1/organizations/{org_id} - read an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs import settings
from codegen_runs.access import organizations
from codegen_runs.access.organizations import OrganizationCard
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import endpoint
from codegen_runs.storage.access import AccessTable

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>", tags=["Organizations"], summary="Read an organization")
def get_organization(org_id: int, codegen: Codegen) -> OrganizationCard:
    """Read an organization: what Codegen says, and over it what was set here."""
    return organizations.get(org_id, codegen=codegen, table=AccessTable(settings.required("ACCESS_TABLE")))


handler = endpoint(app)
