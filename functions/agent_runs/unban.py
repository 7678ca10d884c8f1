"""POST /v1/organizations/{org_id}/agent/run/unban - let the checks of a pull request start agents again."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.bodies import with_warnings
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Id, Organization
from codegen_runs.limits.permits import permit
from codegen_runs.runs.requests import CardOrder, StopAgentRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/agent/run/unban", tags=["Agent runs"], summary="Let checks start agents again")
def unban_agent_run_checks(org_id: Organization, request: StopAgentRun, caller: CurrentCaller, backend: Backend) -> Any:
    """Let the checks of a run's pull request start agents again. Stopped agents are not restarted."""
    with permit("standard", caller, org_id, backend):
        codegen = backend.codegen.with_more(body=request.unknown())
        answer = codegen.runs.unban(request.agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.passed_on())


@app.post("/v1/organizations/<org_id>/agent/run/<agent_run_id>/unban-all-checks", include_in_schema=False)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/unban-all-checks", include_in_schema=False)
def unban_agent_run_checks_in_path(
    org_id: Organization, agent_run_id: Id, caller: CurrentCaller, backend: Backend, request: CardOrder | None = None
) -> Any:
    """Do the same with the run's id in the path. The body is optional."""
    request = request or CardOrder()
    with permit("standard", caller, org_id, backend):
        answer = backend.codegen.runs.unban(agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.ignored())


handler = endpoint(app, audit=Act("run.unban", "agent_run_id"), verbatim=True)
