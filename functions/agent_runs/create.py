"""POST /v1/organizations/{org_id}/agent/run - start an agent run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import AgentRun
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.runs.requests import CreateAgentRun
from codegen_runs.runs.starting import start

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/agent/run", tags=["Agent runs"], summary="Start an agent run")
@app.post("/organizations/<org_id>/agent/run", include_in_schema=False)
def create_agent_run(
    org_id: Organization, request: CreateAgentRun, caller: CurrentCaller, backend: Backend
) -> AgentRun:
    """Start an agent run. Returns at once, while the run is at work."""
    return start(request, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, verbatim=True)
