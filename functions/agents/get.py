"""GET /v1/organizations/{org_id}/agents/{agent_id} - read an agent, as it is or in one of its versions."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import Agent, shown
from codegen_runs.http.edge import DefaultOrganization, endpoint

app = APIGatewayRestResolver(enable_validation=True)

Version = Annotated[int | None, Query(ge=1, le=10**9, description="The current one if absent.")]


@app.get("/v1/organizations/<org_id>/agents/<agent_id>", tags=["Agents"], summary="Read an agent")
def get_agent(org_id: int, agent_id: str, version: Version = None) -> Response[Agent]:
    """Read an agent. With `version` as it was then, even if the agent has been deleted since."""
    agent = shown(profiles.get(agent_id, org_id, version=version))
    headers = {"ETag": profiles.etag(agent)}
    return Response(status_code=200, content_type="application/json", headers=headers, body=agent)


@app.get("/api/agents/<agent_id>", include_in_schema=False)
def get_agent_of_deployment(agent_id: str, org_id: DefaultOrganization, version: Version = None) -> Response[Agent]:
    """Do the same in the deployment's organization."""
    return get_agent(org_id, agent_id, version)


handler = endpoint(app)
