"""GET /v1/organizations/{org_id}/starred-runs - list the starred runs of the caller, newest first."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, Organization
from codegen_runs.run_cards import starred
from codegen_runs.run_cards.starred import StarredRunCard

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=50, description="How many to return at most.")]


@app.get("/v1/organizations/<org_id>/starred-runs", tags=["Starred runs"], summary="List starred runs")
@app.get("/v1/starred-runs", include_in_schema=False)
@app.get("/starred-runs", include_in_schema=False)
def list_starred_runs(
    org_id: Organization, caller: CurrentCaller, backend: Backend, limit: Limit = 20, cursor: Cursor = None
) -> CursorPage[StarredRunCard]:
    """List the runs that the caller has starred, newest star first, each with its card."""
    return starred.newest(org_id=org_id, caller=caller, backend=backend, limit=limit, cursor=cursor)


handler = endpoint(app)
