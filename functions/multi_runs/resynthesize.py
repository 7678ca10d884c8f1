"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/resynthesize - combine the answers of a multi-run again."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, MultiRunId, Organization
from codegen_runs.multi_runs import repairing
from codegen_runs.multi_runs.repairing import Resynthesize
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/resynthesize",
    status_code=202,
    tags=["Multi-runs"],
    summary="Combine the answers of a multi-run again",
)
def resynthesize_multi_run(
    org_id: Organization,
    multi_run_id: MultiRunId,
    caller: CurrentCaller,
    backend: Backend,
    request: Resynthesize | None = None,
) -> MultiRunSnapshot:
    """Combine the answers again, after the multi-run has ended. No candidate runs again.

    The request may name other candidates, other instructions, another model or another strategy.
    """
    request = request or Resynthesize()
    multi_run = repairing.resynthesize(org_id, multi_run_id, request, caller=caller, backend=backend)
    return multi_run.model_copy(update={"warnings": request.ignored()})


handler = endpoint(app, audit=Act("multi_run.resynthesize", "multi_run_id"))
