"""DELETE /v1/organizations/{org_id}/run-cards/{agent_run_id} - cancel an agent run."""

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization, RunId
from codegen_runs.run_control import cancelling
from codegen_runs.run_control.requests import ALLOW_PR_BAN, MAX_REASON_CHARACTERS, CancelRun, ControlledRun

app = APIGatewayRestResolver(enable_validation=True)

# No other spelling of a boolean, because `true` gives consent.
AllowPrBan = Annotated[Literal["true", "false"], Query(description=ALLOW_PR_BAN)]
Reason = Annotated[str | None, Query(max_length=MAX_REASON_CHARACTERS)]


@app.delete(
    "/v1/organizations/<org_id>/run-cards/<agent_run_id>",
    tags=["Run cards"],
    summary="Cancel an agent run",
    responses={
        200: {"description": "The run has ended.", "content": {"application/json": {"model": ControlledRun}}},
        202: {"description": "The run is being stopped.", "content": {"application/json": {"model": ControlledRun}}},
    },
)
@app.delete("/agent_runs/<agent_run_id>", include_in_schema=False)
def cancel_run_card(
    org_id: Organization,
    agent_run_id: RunId,
    backend: Backend,
    caller: CurrentCaller,
    allow_pr_ban: AllowPrBan = "false",
    reason: Reason = None,
) -> Response[ControlledRun]:
    """Cancel a run. Returns 200 when the run has ended, 202 while it is being stopped.

    A launched run can only be stopped by a ban of its pull request. Returns 409 unless `allow_pr_ban` is true.
    """
    request = CancelRun(allow_pr_ban=allow_pr_ban == "true", reason=reason)
    run = cancelling.cancel(agent_run_id, request, org_id=org_id, caller=caller, backend=backend)
    return Response(status_code=200 if run.status.terminal else 202, content_type="application/json", body=run)


handler = endpoint(app, audit=Act("run.cancel", "agent_run_id", details=("allow_pr_ban",)))
