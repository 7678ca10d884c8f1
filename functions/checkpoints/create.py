"""POST /v1/organizations/{org_id}/agent/run/{agent_run_id}/checkpoints - create a checkpoint of a run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.audit.acts import Act
from codegen_runs.checkpoints import making
from codegen_runs.checkpoints.requests import CreateCheckpoint
from codegen_runs.checkpoints.snapshots import CheckpointSnapshot
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization, RunId
from codegen_runs.links import link

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/agent/run/<agent_run_id>/checkpoints",
    status_code=201,
    tags=["Checkpoints"],
    summary="Create a checkpoint of a run",
)
@app.post("/api/checkpoints/runs/<agent_run_id>/checkpoints", status_code=201, include_in_schema=False)
def create_checkpoint(
    org_id: Organization,
    agent_run_id: RunId,
    backend: Backend,
    caller: CurrentCaller,
    request: CreateCheckpoint | None = None,
) -> Response[CheckpointSnapshot]:
    """Create a checkpoint of the run's current state. A checkpoint holds the conversation, not the files."""
    made = making.create(agent_run_id, request or CreateCheckpoint(), org_id=org_id, caller=caller, backend=backend)
    return Response(
        status_code=201,
        content_type="application/json",
        headers={"Location": link(f"/v1/organizations/{org_id}/checkpoints/{made.id}")},
        body=made,
    )


handler = endpoint(app, audit=Act("checkpoint.create", "agent_run_id"))
