"""GET /v1/organizations/{org_id}/multi-runs/{multi_run_id} - read a multi-run with its candidates and its answer."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, MultiRunId, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/multi-runs/<multi_run_id>", tags=["Multi-runs"], summary="Read a multi-run")
def get_multi_run(org_id: Organization, multi_run_id: MultiRunId, backend: Backend) -> MultiRunSnapshot:
    """Read a multi-run at any time: the status, result and link of each candidate, counts, synthesis and answer."""
    return service.get(org_id, multi_run_id, backend=backend)


handler = endpoint(app)
