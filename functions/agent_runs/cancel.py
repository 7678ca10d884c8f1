"""POST /v1/organizations/{org_id}/agent/run/{agent_run_id}/cancel - cancel an agent run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization, RunId
from codegen_runs.run_control import cancelling
from codegen_runs.run_control.requests import CancelRun, ControlledRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/agent/run/<agent_run_id>/cancel",
    tags=["Run control"],
    summary="Cancel an agent run",
    responses={
        200: {"description": "The run has ended.", "content": {"application/json": {"model": ControlledRun}}},
        202: {"description": "The run is being stopped.", "content": {"application/json": {"model": ControlledRun}}},
    },
)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/cancel", include_in_schema=False)
@app.post("/api/runs/<agent_run_id>/cancel", include_in_schema=False)
def cancel_agent_run(
    org_id: Organization, agent_run_id: RunId, caller: CurrentCaller, backend: Backend, request: CancelRun | None = None
) -> Response[ControlledRun]:
    """Cancel a run. Returns 200 when the run has ended, 202 while it is being stopped.

    A run that waits for its launch is never launched. A launched run can only be stopped by a ban of its pull request,
    which also stops other agents and mutes its checks. Returns 409 unless `allow_pr_ban` accepts that.
    """
    run = cancelling.cancel(agent_run_id, request or CancelRun(), org_id=org_id, caller=caller, backend=backend)
    return Response(
        status_code=200 if run.status.terminal else 202,
        content_type="application/json",
        body=run,
    )


handler = endpoint(app, audit=Act("run.cancel", "agent_run_id", details=("allow_pr_ban",)))
