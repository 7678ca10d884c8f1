"""GET /v1/organizations/{org_id}/agents/{agent_id} - read an agent, in its current version or another."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import Agent, shown
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import AgentId, Backend, Organization

app = APIGatewayRestResolver(enable_validation=True)

Version = Annotated[int | None, Query(ge=1, le=10**9, description="Defaults to the current version.")]


@app.get("/v1/organizations/<org_id>/agents/<agent_id>", tags=["Agents"], summary="Read an agent")
@app.get("/api/agents/<agent_id>", include_in_schema=False)
def get_agent(org_id: Organization, agent_id: AgentId, backend: Backend, version: Version = None) -> Response[Agent]:
    """Read an agent, in its current version or in `version`. The versions of a deleted agent stay readable."""
    agent = shown(profiles.get(agent_id, org_id=org_id, version=version, backend=backend))
    headers = {"ETag": profiles.etag(agent)}
    return Response(status_code=200, content_type="application/json", headers=headers, body=agent)


handler = endpoint(app, verbatim=True)
