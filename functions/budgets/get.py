"""GET /v1/organizations/{org_id}/budgets - read the budgets of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.budgets import limits
from codegen_runs.budgets.limits import OrganizationBudgets
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/budgets", tags=["Organizations"], summary="Read the budgets of an organization")
def get_budgets(org_id: Organization, caller: CurrentCaller, backend: Backend) -> OrganizationBudgets:
    """Read the limits of runs and follow-ups, and what the organization and you have used of them."""
    return limits.get(org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app)
