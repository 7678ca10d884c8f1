"""POST /v1/organizations/{org_id}/agent/run/resume - send a follow-up prompt to an agent run.

With the run's id in the path and without a prompt, it resumes a paused run.
"""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import AgentRun
from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization, RunId
from codegen_runs.run_control import pausing
from codegen_runs.run_control.requests import ControlledRun, ResumeRun
from codegen_runs.runs.requests import FollowUp, ResumeAgentRun
from codegen_runs.runs.starting import resume

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/agent/run/resume", tags=["Agent runs"], summary="Send a follow-up prompt")
def resume_agent_run(
    org_id: Organization, request: ResumeAgentRun, caller: CurrentCaller, backend: Backend
) -> AgentRun:
    """Send a follow-up prompt to an agent run. The run continues under the same id."""
    return resume(str(request.agent_run_id), request, org_id=org_id, caller=caller, backend=backend)


@app.post(
    "/v1/organizations/<org_id>/agent/run/<agent_run_id>/resume",
    tags=["Run control"],
    summary="Resume a paused run, or send a follow-up prompt",
)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/resume", include_in_schema=False)
@app.post("/api/runs/<agent_run_id>/resume", include_in_schema=False)
def resume_agent_run_in_path(
    org_id: Organization, agent_run_id: RunId, caller: CurrentCaller, backend: Backend, request: ResumeRun | None = None
) -> ControlledRun | AgentRun:
    """Resume a paused run. With a prompt, send a follow-up; the run continues under the same id."""
    request = request or ResumeRun()
    if request.prompt is None:
        return pausing.unpause(agent_run_id, request, org_id=org_id, backend=backend)
    follow_up = FollowUp.model_validate(request.model_dump(exclude_unset=True))
    return resume(agent_run_id, follow_up, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("run.resume", "agent_run_id"), verbatim=True)
