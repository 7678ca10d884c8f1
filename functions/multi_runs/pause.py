"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/pause - hold the launches of a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, MultiRunId, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/pause", tags=["Multi-runs"], summary="Pause a multi-run"
)
def pause_multi_run(org_id: Organization, multi_run_id: MultiRunId, backend: Backend) -> MultiRunSnapshot:
    """Hold the launches of a multi-run. Agents that are already at work continue, and deadlines do not change."""
    return service.pause(org_id, multi_run_id, backend=backend)


handler = endpoint(app, audit=Act("multi_run.pause", "multi_run_id"))
