"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/checkpoints - list the checkpoints of a run, newest first."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.checkpoints import reading
from codegen_runs.checkpoints.snapshots import CheckpointSummary
from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, Organization, RunId

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=100, description="How many to return at most.")]


@app.get(
    "/v1/organizations/<org_id>/agent/run/<agent_run_id>/checkpoints",
    tags=["Checkpoints"],
    summary="List the checkpoints of a run",
)
@app.get("/api/checkpoints/runs/<agent_run_id>/checkpoints", include_in_schema=False)
def list_checkpoints(
    org_id: Organization,
    agent_run_id: RunId,
    caller: CurrentCaller,
    backend: Backend,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CursorPage[CheckpointSummary]:
    """List the checkpoints of a run, newest first.

    Checkpoints are created automatically at the start of a run, at plans, pull requests and follow-ups, and at the end
    of each turn.
    """
    return reading.newest(agent_run_id, org_id=org_id, backend=backend, limit=limit, cursor=cursor, caller=caller)


handler = endpoint(app)
