"""GET /v1/alpha/organizations/{org_id}/agent/run/{agent_run_id}/logs - read the logs of an agent run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import AgentRunLogs
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Id, Limit, Organization, Skip

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/alpha/organizations/<org_id>/agent/run/<agent_run_id>/logs",
    tags=["Agent runs"],
    summary="Read the logs of an agent run",
)
@app.get("/v1/organizations/<org_id>/agent/run/<agent_run_id>/logs", include_in_schema=False)
@app.get("/organizations/<org_id>/agent/run/<agent_run_id>/logs", include_in_schema=False)
def get_agent_run_logs(
    org_id: Organization,
    agent_run_id: Id,
    codegen: TransparentCodegen,
    skip: Skip = 0,
    limit: Limit = 100,
    reverse: bool = False,
) -> AgentRunLogs:
    """Read the logs of an agent run, oldest first unless `reverse` is true. The Codegen API calls this path alpha."""
    return codegen.runs.logs(agent_run_id, org_id=org_id, skip=skip, limit=limit, reverse=reverse)


handler = endpoint(app, verbatim=True)
