"""POST /v1/organizations/{org_id}/sandbox/{sandbox_id}/analyze-logs - start a run that reads a sandbox's setup logs."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import SandboxAnalysis
from codegen_runs.bodies import Body, UpstreamId, with_warnings
from codegen_runs.http.admission import in_body
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Id, Organization
from codegen_runs.runs import starting

app = APIGatewayRestResolver(enable_validation=True)


class AnalyzeSandboxLogs(Body):
    """The sandbox, when the path does not name it. You need not send its logs, which the Codegen API has."""

    sandbox_id: UpstreamId
    org_id: int | None = None


@app.post(
    "/v1/organizations/<org_id>/sandbox/<sandbox_id>/analyze-logs", tags=["Sandboxes"], summary="Analyze setup logs"
)
def analyze_sandbox_logs(
    org_id: Organization, sandbox_id: Id, caller: CurrentCaller, backend: Backend
) -> SandboxAnalysis:
    """Start a run that reads the setup logs of a sandbox. The run's result contains the findings."""
    return starting.analyze_sandbox_logs(sandbox_id, org_id=org_id, caller=caller, backend=backend)


@app.post("/v1/sandbox/analyze-logs", include_in_schema=False)
@app.post("/sandbox/analyze-logs", include_in_schema=False)
def analyze_sandbox_logs_anywhere(
    org_id: Organization, request: AnalyzeSandboxLogs, caller: CurrentCaller, backend: Backend
) -> SandboxAnalysis:
    """Do the same for the sandbox named in the body."""
    answer = starting.analyze_sandbox_logs(request.sandbox_id, org_id=org_id, caller=caller, backend=backend)
    return with_warnings(answer, request.ignored())


handler = endpoint(app, verbatim=True, organization=in_body("org_id"))
