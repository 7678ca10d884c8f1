"""POST /v1/organizations/{org_id}/multi-runs/estimate - estimate a multi-run without starting it."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.multi_runs import estimates
from codegen_runs.multi_runs.estimates import MultiRunEstimate
from codegen_runs.multi_runs.parameters import CreateMultiRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/multi-runs/estimate", tags=["Multi-runs"], summary="Estimate a multi-run")
def estimate_multi_run(
    org_id: Organization, request: CreateMultiRun, caller: CurrentCaller, backend: Backend
) -> MultiRunEstimate:
    """Return what a multi-run would cost, when its last candidate would be launched, and why it would be refused.

    The body is that of a new multi-run. Nothing is stored or sent to Codegen.
    """
    return estimates.estimate(request, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app)
