"""PATCH /v1/organizations/{org_id}/agents/{agent_id} - change an agent, which makes its next version."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Header
from pydantic import Field

from codegen_runs import forms
from codegen_runs.agents import profiles
from codegen_runs.agents.agent import Agent, UpdateAgent
from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import AgentId, Backend, CurrentCaller, Organization

app = APIGatewayRestResolver(enable_validation=True)

# What is no ETag of the current version is answered with 412, whatever it is.
IfMatch = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": forms.ENTITY_TAGS})] | None,
    Header(
        alias="If-Match",
        description="The ETag of the version to change. 412 if it is not the current one.",
    ),
]


@app.patch("/v1/organizations/<org_id>/agents/<agent_id>", tags=["Agents"], summary="Change an agent")
@app.patch("/api/agents/<agent_id>", include_in_schema=False)
def update_agent(
    org_id: Organization,
    agent_id: AgentId,
    request: UpdateAgent,
    caller: CurrentCaller,
    backend: Backend,
    if_match: IfMatch = None,
) -> Response[Agent]:
    """Change the fields in the request. This makes a new version; the earlier versions stay readable.

    To avoid overwriting a change that someone else makes at the same time, send the version that you have read, as
    `version` (409 if there is a newer one) or as `If-Match` (412).
    """
    agent = profiles.update(agent_id, request, org_id=org_id, caller=caller, if_match=if_match, backend=backend)
    headers = {"ETag": profiles.etag(agent)}
    return Response(status_code=200, content_type="application/json", headers=headers, body=agent)


handler = endpoint(app, audit=Act("agent.update", "agent_id"), verbatim=True)
