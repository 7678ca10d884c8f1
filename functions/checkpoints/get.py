"""GET /v1/organizations/{org_id}/checkpoints/{checkpoint_id} - read a checkpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.checkpoints import reading
from codegen_runs.checkpoints.snapshots import CheckpointSnapshot
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CheckpointId, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/checkpoints/<checkpoint_id>", tags=["Checkpoints"], summary="Read a checkpoint")
@app.get("/api/checkpoints/<checkpoint_id>", include_in_schema=False)
def get_checkpoint(org_id: Organization, checkpoint_id: CheckpointId, backend: Backend) -> CheckpointSnapshot:
    """Read a checkpoint with the conversation up to it, which a restore or a fork replays."""
    return reading.get(checkpoint_id, org_id=org_id, backend=backend)


handler = endpoint(app)
