"""GET /v1/organizations/{org_id}/members - list the members of an organization with their roles."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.access import members
from codegen_runs.access.members import MemberCard
from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, Organization

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=100, description="How many to return at most.")]


@app.get("/v1/organizations/<org_id>/members", tags=["Organizations"], summary="List members with their roles")
def list_members(
    org_id: Organization, caller: CurrentCaller, backend: Backend, limit: Limit = 100, cursor: Cursor = None
) -> CursorPage[MemberCard]:
    """List the users of an organization, each with the role that applies in this deployment."""
    return members.listed(org_id, backend=backend, limit=limit, cursor=cursor, caller=caller)


handler = endpoint(app)
