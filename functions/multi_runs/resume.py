"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/resume - let a paused multi-run go on."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/resume",
    tags=["Multi-runs"],
    summary="Resume a paused multi-run",
)
def resume_multi_run(org_id: Organization, multi_run_id: str, backend: Backend) -> MultiRunSnapshot:
    """Let the runs of a paused multi-run be launched."""
    return service.resume(org_id, multi_run_id, backend=backend)


handler = endpoint(app)
