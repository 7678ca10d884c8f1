"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id} - read one agent run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import AgentRun
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Id, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/agent/run/<agent_run_id>", tags=["Agent runs"], summary="Read one agent run")
@app.get("/organizations/<org_id>/agent/run/<agent_run_id>", include_in_schema=False)
def get_agent_run(org_id: Organization, agent_run_id: Id, codegen: TransparentCodegen) -> AgentRun:
    """Read one agent run. Its result is null until the run ends."""
    return codegen.runs.get(agent_run_id, org_id=org_id)


handler = endpoint(app, verbatim=True)
