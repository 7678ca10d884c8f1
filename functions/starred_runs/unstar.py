"""DELETE /v1/organizations/{org_id}/starred-runs/{agent_run_id} - unstar an agent run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Id, Organization
from codegen_runs.run_cards import starred

app = APIGatewayRestResolver(enable_validation=True)


@app.delete(
    "/v1/organizations/<org_id>/starred-runs/<agent_run_id>",
    status_code=204,
    tags=["Starred runs"],
    summary="Unstar an agent run",
)
def unstar_run(org_id: Organization, agent_run_id: Id, caller: CurrentCaller, backend: Backend) -> None:
    """Unstar a run. Also succeeds when the run is not starred."""
    starred.unstar(agent_run_id, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, own_data=True)
