"""DELETE /v1/organizations/{org_id}/agents/{agent_id} - delete an agent."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.chat import deleting_agents
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import AgentId, Backend, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.delete("/v1/organizations/<org_id>/agents/<agent_id>", status_code=204, tags=["Agents"], summary="Delete an agent")
@app.delete("/api/agents/<agent_id>", status_code=204, include_in_schema=False)
def delete_agent(org_id: Organization, agent_id: AgentId, backend: Backend) -> None:
    """Delete an agent. It accepts no new task, and its versions stay readable for the runs that name them.

    409 only while the agent has a chat message to answer.
    """
    deleting_agents.delete(agent_id, org_id=org_id, backend=backend)


handler = endpoint(app, audit=Act("agent.delete", "agent_id"), verbatim=True)
