"""GET /v1/organizations/{org_id}/run-cards/{agent_run_id} - read one run in full."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization, RunId
from codegen_runs.run_cards import details
from codegen_runs.run_cards.details import RunCardDetail

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/run-cards/<agent_run_id>", tags=["Run cards"], summary="Read one run in full")
@app.get("/agent_runs/<agent_run_id>", include_in_schema=False)
@app.get("/api/runs/<agent_run_id>", include_in_schema=False)
def get_run_card(org_id: Organization, agent_run_id: RunId, caller: CurrentCaller, backend: Backend) -> RunCardDetail:
    """Read one run: its card, its prompts and its result."""
    return details.read(agent_run_id, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app)
