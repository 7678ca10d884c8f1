"""POST /v1/organizations/{org_id}/agent/run/unban - let the checks of a pull request wake agents again."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.bodies import with_warnings
from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, endpoint
from codegen_runs.limits.permits import permit
from codegen_runs.runs.requests import CardOrder, StopAgentRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/agent/run/unban", tags=["Agent runs"], summary="Let checks wake agents again")
def unban_agent_run_checks(org_id: int, request: StopAgentRun, codegen: Codegen, caller: CurrentCaller) -> Any:
    """Let the checks of a run's pull request wake agents again. It restarts nothing."""
    with permit("standard", caller):
        answer = codegen.runs.unban(request.agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.ignored())


@app.post("/v1/organizations/<org_id>/agent/run/<agent_run_id>/unban-all-checks", include_in_schema=False)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/unban-all-checks", include_in_schema=False)
def unban_agent_run_checks_in_path(
    org_id: int, agent_run_id: int, codegen: Codegen, caller: CurrentCaller, request: CardOrder | None = None
) -> Any:
    """Do the same with the run's id in the path, where a body is optional."""
    request = request or CardOrder()
    with permit("standard", caller):
        answer = codegen.runs.unban(agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.ignored())


handler = endpoint(app)
