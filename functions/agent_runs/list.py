"""GET /v1/organizations/{org_id}/agent/runs - list agent runs."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import AgentRun, Page
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Limit, Organization, Skip

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/agent/runs", tags=["Agent runs"], summary="List agent runs")
@app.get("/organizations/<org_id>/agent/runs", include_in_schema=False)
def list_agent_runs(
    org_id: Organization,
    codegen: TransparentCodegen,
    user_id: int | None = None,
    source_type: str | None = None,
    skip: Skip = 0,
    limit: Limit = 100,
) -> Page[AgentRun]:
    """List the agent runs of an organization, newest first."""
    return codegen.runs.list(org_id=org_id, user_id=user_id, source_type=source_type, skip=skip, limit=limit)


handler = endpoint(app, verbatim=True)
