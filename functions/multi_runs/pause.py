"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/pause - launch none of its runs for now."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/pause", tags=["Multi-runs"], summary="Pause a multi-run"
)
def pause_multi_run(org_id: Organization, multi_run_id: str, backend: Backend) -> MultiRunSnapshot:
    """Launch no further run of a multi-run. Agents that work upstream go on, and its deadlines stay as they are."""
    return service.pause(org_id, multi_run_id, backend=backend)


handler = endpoint(app)
