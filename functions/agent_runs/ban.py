"""POST /v1/organizations/{org_id}/agent/run/ban - stop the agents on a pull request and mute its checks."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.bodies import with_warnings
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Id, Organization
from codegen_runs.limits.permits import permit
from codegen_runs.runs.requests import CardOrder, StopAgentRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/agent/run/ban", tags=["Agent runs"], summary="Stop the agents on a pull request")
def ban_agent_run_checks(org_id: Organization, request: StopAgentRun, caller: CurrentCaller, backend: Backend) -> Any:
    """Stop every agent on the pull request of a run, and keep its checks from starting agents."""
    with permit("standard", caller, org_id, backend):
        codegen = backend.codegen.with_more(body=request.unknown())
        answer = codegen.runs.ban(request.agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.passed_on())


@app.post("/v1/organizations/<org_id>/agent/run/<agent_run_id>/ban-all-checks", include_in_schema=False)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/ban-all-checks", include_in_schema=False)
def ban_agent_run_checks_in_path(
    org_id: Organization, agent_run_id: Id, caller: CurrentCaller, backend: Backend, request: CardOrder | None = None
) -> Any:
    """Do the same with the run's id in the path. The body is optional."""
    request = request or CardOrder()
    with permit("standard", caller, org_id, backend):
        answer = backend.codegen.runs.ban(agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.ignored())


handler = endpoint(app, audit=Act("run.ban", "agent_run_id"), verbatim=True)
