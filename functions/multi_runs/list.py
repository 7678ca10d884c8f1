"""GET /v1/organizations/{org_id}/multi-runs - list the multi-runs of an organization, newest first."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSummary

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/multi-runs", tags=["Multi-runs"], summary="List multi-runs")
def list_multi_runs(
    org_id: Organization,
    caller: CurrentCaller,
    backend: Backend,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Cursor = None,
) -> CursorPage[MultiRunSummary]:
    """List the multi-runs of an organization, newest first, without their candidates."""
    return service.newest(org_id, limit=limit, cursor=cursor, caller=caller, backend=backend)


handler = endpoint(app)
