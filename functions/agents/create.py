"""POST /v1/organizations/{org_id}/agents - create an agent."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import Agent, CreateAgent
from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.links import link

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/agents", status_code=201, tags=["Agents"], summary="Create an agent")
@app.post("/api/agents", status_code=201, include_in_schema=False)
def create_agent(
    org_id: Organization, request: CreateAgent, caller: CurrentCaller, backend: Backend
) -> Response[Agent]:
    """Create an agent. You may choose its id: 409 if the id is taken."""
    agent = profiles.create(request, org_id=org_id, caller=caller, backend=backend)
    return Response(
        status_code=201,
        content_type="application/json",
        headers={"Location": link(f"/v1/organizations/{org_id}/agents/{agent.id}"), "ETag": profiles.etag(agent)},
        body=agent,
    )


handler = endpoint(app, audit=Act("agent.create", "id", made="id"), verbatim=True)
