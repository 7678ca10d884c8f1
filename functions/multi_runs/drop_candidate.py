"""DELETE /v1/organizations/{org_id}/multi-runs/{multi_run_id}/candidates/{index} - drop a candidate of a multi-run."""

from typing import Annotated, Literal

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, MultiRunId, Organization
from codegen_runs.multi_runs import membership
from codegen_runs.multi_runs.snapshots import CancelledMultiRun
from codegen_runs.run_control.requests import ALLOW_PR_BAN, MAX_REASON_CHARACTERS, CancelRun

app = APIGatewayRestResolver(enable_validation=True)

Index = Annotated[int, Path(ge=0, description="The index of the candidate.")]
# No other spelling of a boolean, because `true` gives consent.
AllowPrBan = Annotated[Literal["true", "false"], Query(description=ALLOW_PR_BAN)]
Reason = Annotated[str | None, Query(max_length=MAX_REASON_CHARACTERS)]


@app.delete(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/candidates/<index>",
    tags=["Multi-runs"],
    summary="Drop a candidate of a multi-run",
)
def drop_candidate(
    org_id: Organization,
    multi_run_id: MultiRunId,
    index: Index,
    caller: CurrentCaller,
    backend: Backend,
    allow_pr_ban: AllowPrBan = "false",
    reason: Reason = None,
) -> CancelledMultiRun:
    """Drop a candidate: the multi-run does not wait for it, and its answer does not count.

    A run that waits for its launch is never launched. A launched run continues at Codegen unless `allow_pr_ban` accepts
    a ban of its pull request. You can send the request again to accept it later.
    """
    request = CancelRun(allow_pr_ban=allow_pr_ban == "true", reason=reason)
    return membership.drop(org_id, multi_run_id, index, request, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("multi_run.drop_candidate", "multi_run_id", details=("index", "allow_pr_ban")))
