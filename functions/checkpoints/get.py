"""GET /v1/organizations/{org_id}/checkpoints/{checkpoint_id} - read a checkpoint."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.checkpoints import reading
from codegen_runs.checkpoints.snapshots import CheckpointSnapshot
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import DefaultOrganization, endpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/checkpoints/<checkpoint_id>", tags=["Checkpoints"], summary="Read a checkpoint")
def get_checkpoint(org_id: int, checkpoint_id: str, codegen: Codegen) -> CheckpointSnapshot:
    """Read a checkpoint, with all that was said until then: that is what going on from it brings back."""
    return reading.get(checkpoint_id, org_id=org_id, codegen=codegen)


@app.get("/api/checkpoints/<checkpoint_id>", include_in_schema=False)
def get_checkpoint_of_deployment(
    org_id: DefaultOrganization, checkpoint_id: str, codegen: Codegen
) -> CheckpointSnapshot:
    """Do the same in the deployment's organization."""
    return get_checkpoint(org_id, checkpoint_id, codegen)


handler = endpoint(app)
