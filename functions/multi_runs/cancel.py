"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/cancel - cancel a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, MultiRunId, Organization
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.snapshots import CancelledMultiRun
from codegen_runs.run_control.requests import CancelRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/cancel",
    tags=["Multi-runs"],
    summary="Cancel a multi-run",
    responses={
        200: {"description": "No run is being stopped.", "content": {"application/json": {"model": CancelledMultiRun}}},
        202: {"description": "Runs are being stopped.", "content": {"application/json": {"model": CancelledMultiRun}}},
    },
)
def cancel_multi_run(
    org_id: Organization,
    multi_run_id: MultiRunId,
    caller: CurrentCaller,
    backend: Backend,
    request: CancelRun | None = None,
) -> Response[CancelledMultiRun]:
    """Cancel a multi-run. Returns 202 while the Codegen API is stopping runs, otherwise 200.

    Runs that wait for their launch are never launched. Launched runs continue at Codegen unless `allow_pr_ban` accepts
    a ban of their pull requests. You can cancel again to accept it later.
    """
    multi_run = service.cancel(org_id, multi_run_id, request or CancelRun(), caller=caller, backend=backend)
    return Response(
        status_code=202 if any(run.open for run in multi_run.cancelled_runs) else 200,
        content_type="application/json",
        body=multi_run,
    )


handler = endpoint(app, audit=Act("multi_run.cancel", "multi_run_id", details=("allow_pr_ban",)))
