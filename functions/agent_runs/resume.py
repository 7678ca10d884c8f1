"""POST /v1/organizations/{org_id}/agent/run/resume - send a follow-up prompt to an agent run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import AgentRun
from codegen_runs.codegen import Codegen
from codegen_runs.edge import CurrentCaller, endpoint
from codegen_runs.runs import FollowUp, ResumeAgentRun, resume

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/agent/run/resume", tags=["Agent runs"], summary="Send a follow-up prompt")
def resume_agent_run(org_id: int, request: ResumeAgentRun, codegen: Codegen, caller: CurrentCaller) -> AgentRun:
    """Send a follow-up prompt to an agent run, which then works on under the same id."""
    return resume(request.agent_run_id, request, org_id=org_id, codegen=codegen, caller=caller)


@app.post("/v1/organizations/<org_id>/agent/run/<agent_run_id>/resume", include_in_schema=False)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/resume", include_in_schema=False)
def resume_agent_run_in_path(
    org_id: int, agent_run_id: int, request: FollowUp, codegen: Codegen, caller: CurrentCaller
) -> AgentRun:
    """Do the same with the run's id in the path."""
    return resume(agent_run_id, request, org_id=org_id, codegen=codegen, caller=caller)


handler = endpoint(app)
