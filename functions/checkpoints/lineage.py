"""GET /v1/organizations/{org_id}/checkpoints/{checkpoint_id}/lineage - tell what a checkpoint came from and led to."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.checkpoints import reading
from codegen_runs.checkpoints.snapshots import Lineage
from codegen_runs.http.edge import DefaultOrganization, endpoint

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/checkpoints/<checkpoint_id>/lineage",
    tags=["Checkpoints"],
    summary="Read the lineage of a checkpoint",
)
def get_checkpoint_lineage(org_id: int, checkpoint_id: str) -> Lineage:
    """Tell where the run of a checkpoint came from, and which runs were started from the checkpoint."""
    return reading.lineage(checkpoint_id, org_id=org_id)


@app.get("/api/checkpoints/<checkpoint_id>/lineage", include_in_schema=False)
def get_checkpoint_lineage_of_deployment(org_id: DefaultOrganization, checkpoint_id: str) -> Lineage:
    """Do the same in the deployment's organization."""
    return get_checkpoint_lineage(org_id, checkpoint_id)


handler = endpoint(app)
