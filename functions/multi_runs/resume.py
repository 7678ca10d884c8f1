"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/resume - resume a paused multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, MultiRunId, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/resume",
    tags=["Multi-runs"],
    summary="Resume a paused multi-run",
)
def resume_multi_run(org_id: Organization, multi_run_id: MultiRunId, backend: Backend) -> MultiRunSnapshot:
    """Resume the launches of a paused multi-run."""
    return service.resume(org_id, multi_run_id, backend=backend)


handler = endpoint(app, audit=Act("multi_run.resume", "multi_run_id"))
