"""GET /v1/organizations/{org_id}/multi-runs/{multi_run_id}/compare - compare the candidates of a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, MultiRunId, Organization
from codegen_runs.multi_runs import comparison
from codegen_runs.multi_runs.comparison import Comparison

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/compare",
    tags=["Multi-runs"],
    summary="Compare the candidates of a multi-run",
)
def compare_multi_run(org_id: Organization, multi_run_id: MultiRunId, backend: Backend) -> Comparison:
    """Compare the candidates at any time: facts from their event logs, agreement of their answers, and provenance."""
    return comparison.compare(org_id, multi_run_id, backend=backend)


handler = endpoint(app)
