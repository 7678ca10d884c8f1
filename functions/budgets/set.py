"""PUT /v1/organizations/{org_id}/budgets - set the budgets of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.budgets import limits
from codegen_runs.budgets.limits import ChangedBudgets, SetBudgets
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


@app.put("/v1/organizations/<org_id>/budgets", tags=["Organizations"], summary="Set the budgets of an organization")
def set_budgets(org_id: Organization, request: SetBudgets, caller: CurrentCaller, backend: Backend) -> ChangedBudgets:
    """Replace the limits of runs and follow-ups of the organization and of each caller. You must be an admin of it."""
    return limits.put(request, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("budgets.set", details=("organization", "caller")), role=Role.ADMIN)
