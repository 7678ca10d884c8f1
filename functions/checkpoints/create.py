"""POST /v1/organizations/{org_id}/agent/run/{agent_run_id}/checkpoints - make a checkpoint of a run by hand."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.checkpoints import making
from codegen_runs.checkpoints.requests import CreateCheckpoint
from codegen_runs.checkpoints.snapshots import CheckpointSnapshot
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, DefaultOrganization, endpoint
from codegen_runs.http.paths import RunId

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/agent/run/<agent_run_id>/checkpoints",
    status_code=201,
    tags=["Checkpoints"],
    summary="Make a checkpoint of a run",
)
def create_checkpoint(
    org_id: int, agent_run_id: RunId, codegen: Codegen, caller: CurrentCaller, request: CreateCheckpoint | None = None
) -> Response[CheckpointSnapshot]:
    """Make a checkpoint of a run as it is now. It keeps what was said until then, and not the files."""
    made = making.create(agent_run_id, request or CreateCheckpoint(), org_id=org_id, caller=caller, codegen=codegen)
    return Response(
        status_code=201,
        content_type="application/json",
        headers={"Location": f"/v1/organizations/{org_id}/checkpoints/{made.id}"},
        body=made,
    )


@app.post("/api/checkpoints/runs/<agent_run_id>/checkpoints", status_code=201, include_in_schema=False)
def create_checkpoint_of_deployment(
    org_id: DefaultOrganization,
    agent_run_id: RunId,
    codegen: Codegen,
    caller: CurrentCaller,
    request: CreateCheckpoint | None = None,
) -> Response[CheckpointSnapshot]:
    """Do the same in the deployment's organization."""
    return create_checkpoint(org_id, agent_run_id, codegen, caller, request)


handler = endpoint(app)
