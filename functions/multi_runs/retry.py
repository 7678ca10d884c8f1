"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/retry - retry candidates of a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, MultiRunId, Organization
from codegen_runs.multi_runs import repairing
from codegen_runs.multi_runs.repairing import RetryCandidates
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/retry",
    status_code=202,
    tags=["Multi-runs"],
    summary="Retry candidates of a multi-run",
)
def retry_candidates(
    org_id: Organization,
    multi_run_id: MultiRunId,
    caller: CurrentCaller,
    backend: Backend,
    request: RetryCandidates | None = None,
) -> MultiRunSnapshot:
    """Run candidates without a usable answer again, after the multi-run has ended; all that failed without a body.

    Nothing else runs again. The multi-run goes on, and combines the answers anew.
    """
    request = request or RetryCandidates()
    multi_run = repairing.retry(org_id, multi_run_id, request, caller=caller, backend=backend)
    return multi_run.model_copy(update={"warnings": request.ignored()})


handler = endpoint(app, audit=Act("multi_run.retry", "multi_run_id", details=("candidates",)))
