"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/pick - pick a candidate of a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, MultiRunId, Organization, SecondsLeft
from codegen_runs.multi_runs import picking
from codegen_runs.multi_runs.picking import PickCandidate, PickedMultiRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/pick",
    tags=["Multi-runs"],
    summary="Pick a candidate of a multi-run",
)
def pick_candidate(
    org_id: Organization,
    multi_run_id: MultiRunId,
    request: PickCandidate,
    caller: CurrentCaller,
    backend: Backend,
    seconds: SecondsLeft,
) -> PickedMultiRun:
    """Make the answer of a candidate the answer of the multi-run, whatever its status is. The pick can be undone.

    If another candidate is picked already, the answer is 409, unless `replaces` names that candidate. `close_losers`
    closes the pull requests of the other candidates at Codegen, as far as they are the candidates' own.
    """
    return picking.pick(org_id, multi_run_id, request, caller=caller, seconds=seconds, backend=backend)


handler = endpoint(app, audit=Act("multi_run.pick", "multi_run_id", details=("candidate", "close_losers")))
