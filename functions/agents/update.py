"""PATCH /v1/organizations/{org_id}/agents/{agent_id} - change an agent, by its next version."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Header

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import Agent, UpdateAgent
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization

app = APIGatewayRestResolver(enable_validation=True)

IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="The ETag that the change is meant for; else 412.")
]


@app.patch("/v1/organizations/<org_id>/agents/<agent_id>", tags=["Agents"], summary="Change an agent")
@app.patch("/api/agents/<agent_id>", include_in_schema=False)
def update_agent(
    org_id: Organization,
    agent_id: str,
    request: UpdateAgent,
    caller: CurrentCaller,
    backend: Backend,
    if_match: IfMatch = None,
) -> Response[Agent]:
    """Change what the request names, by a new version; the ones before stay readable.

    Two who change the same version at once would undo each other's work: send `version` (409 where there is a newer
    one) or `If-Match` (412).
    """
    agent = profiles.update(agent_id, request, org_id=org_id, caller=caller, if_match=if_match, backend=backend)
    headers = {"ETag": profiles.etag(agent)}
    return Response(status_code=200, content_type="application/json", headers=headers, body=agent)


handler = endpoint(app)
