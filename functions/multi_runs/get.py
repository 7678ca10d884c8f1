"""GET /v1/organizations/{org_id}/multi-runs/{multi_run_id} - read a multi-run with its candidates and its answer."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/multi-runs/<multi_run_id>", tags=["Multi-runs"], summary="Read a multi-run")
def get_multi_run(org_id: Organization, multi_run_id: str, backend: Backend) -> MultiRunSnapshot:
    """Read every candidate's status, result and link, the counts, the synthesis and the answer, at any time."""
    return service.get(org_id, multi_run_id, backend=backend)


handler = endpoint(app)
