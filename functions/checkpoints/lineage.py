"""GET /v1/organizations/{org_id}/checkpoints/{checkpoint_id}/lineage - list ancestors and descendants."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.checkpoints import reading
from codegen_runs.checkpoints.snapshots import Lineage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CheckpointId, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/checkpoints/<checkpoint_id>/lineage",
    tags=["Checkpoints"],
    summary="Read the lineage of a checkpoint",
)
@app.get("/api/checkpoints/<checkpoint_id>/lineage", include_in_schema=False)
def get_checkpoint_lineage(org_id: Organization, checkpoint_id: CheckpointId, backend: Backend) -> Lineage:
    """List the checkpoints that the checkpoint's run was started from, and the runs started from the checkpoint."""
    return reading.lineage(checkpoint_id, org_id=org_id, backend=backend)


handler = endpoint(app)
