"""DELETE /v1/organizations/{org_id}/starred-runs/{agent_run_id} - take the star of an agent run away."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.run_cards import starred

app = APIGatewayRestResolver(enable_validation=True)


@app.delete(
    "/v1/organizations/<org_id>/starred-runs/<agent_run_id>",
    status_code=204,
    tags=["Starred runs"],
    summary="Take the star of an agent run away",
)
def unstar_run(org_id: Organization, agent_run_id: int, caller: CurrentCaller, backend: Backend) -> None:
    """Take the star of a run away. A run without one is left so."""
    starred.unstar(agent_run_id, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app)
