"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/cancel - cancel a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.edge import endpoint
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/cancel", tags=["Multi-runs"], summary="Cancel a multi-run"
)
def cancel_multi_run(org_id: int, multi_run_id: str) -> MultiRunSnapshot:
    """Stop a multi-run. Candidates that run upstream go on there: the Codegen API cannot cancel a run."""
    return service.cancel(org_id, multi_run_id)


handler = endpoint(app)
