"""GET /v1/organizations/{org_id}/agents - list the agents of an organization, newest first."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs import forms
from codegen_runs.agents import profiles
from codegen_runs.agents.agent import Agent, AgentPage
from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, Organization

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=100, description="How many agents to return at most.")]
Offset = Annotated[int, Query(ge=0, le=forms.LARGEST_OFFSET, description="How many agents to skip.")]
Tag = Annotated[
    str | None, Query(max_length=forms.LONGEST_FILTER, description="Only agents with this tag, in upper or lower case.")
]


@app.get("/v1/organizations/<org_id>/agents", tags=["Agents"], summary="List agents")
def list_agents(
    org_id: Organization,
    caller: CurrentCaller,
    backend: Backend,
    limit: Limit = 20,
    cursor: Cursor = None,
    tag: Tag = None,
) -> CursorPage[Agent]:
    """List the agents of an organization, newest first.

    `/api/agents` takes `offset` instead of `cursor`, and returns `{items, total, limit, offset}`.
    """
    return profiles.newest(org_id, tag=tag, limit=limit, cursor=cursor, caller=caller, backend=backend)


@app.get("/api/agents", include_in_schema=False)
def list_range_of_agents(
    org_id: Organization, backend: Backend, limit: Limit = 20, offset: Offset = 0, tag: Tag = None
) -> AgentPage:
    """List the agents by offset instead of cursor."""
    return profiles.page(org_id, tag=tag, limit=limit, offset=offset, backend=backend)


handler = endpoint(app, verbatim=True)
