"""GET /v1/organizations/{org_id}/agents/{agent_id}/versions - list the versions of an agent, newest first."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import Agent
from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import AgentId, Backend, CurrentCaller, Cursor, Organization

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=50, description="How many versions to return at most.")]


@app.get("/v1/organizations/<org_id>/agents/<agent_id>/versions", tags=["Agents"], summary="List versions of an agent")
@app.get("/api/agents/<agent_id>/versions", include_in_schema=False)
def list_agent_versions(
    org_id: Organization,
    agent_id: AgentId,
    caller: CurrentCaller,
    backend: Backend,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> CursorPage[Agent]:
    """List the versions of an agent, newest first. This also works for a deleted agent."""
    return profiles.versions(agent_id, org_id=org_id, limit=limit, cursor=cursor, caller=caller, backend=backend)


handler = endpoint(app, verbatim=True)
