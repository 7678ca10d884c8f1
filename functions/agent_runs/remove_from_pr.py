"""POST /v1/organizations/{org_id}/agent/run/remove-from-pr - remove Codegen from a pull request."""

from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.bodies import with_warnings
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Id, Organization
from codegen_runs.limits.permits import permit
from codegen_runs.runs.requests import CardOrder, StopAgentRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/agent/run/remove-from-pr",
    tags=["Agent runs"],
    summary="Remove Codegen from a pull request",
)
def remove_codegen_from_pr(org_id: Organization, request: StopAgentRun, caller: CurrentCaller, backend: Backend) -> Any:
    """Remove Codegen from the pull request of a run. The Codegen API handles this in the same way as a ban."""
    with permit("standard", caller, org_id, backend):
        codegen = backend.codegen.with_more(body=request.unknown())
        answer = codegen.runs.remove_from_pr(request.agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.passed_on())


@app.post("/v1/organizations/<org_id>/agent/run/<agent_run_id>/remove-codegen-from-pr", include_in_schema=False)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/remove-codegen-from-pr", include_in_schema=False)
def remove_codegen_from_pr_in_path(
    org_id: Organization, agent_run_id: Id, caller: CurrentCaller, backend: Backend, request: CardOrder | None = None
) -> Any:
    """Do the same with the run's id in the path. The body is optional."""
    request = request or CardOrder()
    with permit("standard", caller, org_id, backend):
        answer = backend.codegen.runs.remove_from_pr(agent_run_id, org_id=org_id, **request.card_order())
    return with_warnings(answer, request.ignored())


handler = endpoint(app, audit=Act("run.remove_from_pr", "agent_run_id"), verbatim=True)
