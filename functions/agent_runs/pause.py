"""POST /v1/organizations/{org_id}/agent/run/{agent_run_id}/pause - hold the launch or the follow-ups of a run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization, RunId
from codegen_runs.run_control import pausing
from codegen_runs.run_control.requests import ControlledRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/agent/run/<agent_run_id>/pause", tags=["Run control"], summary="Pause an agent run"
)
@app.post("/organizations/<org_id>/agent/run/<agent_run_id>/pause", include_in_schema=False)
@app.post("/api/runs/<agent_run_id>/pause", include_in_schema=False)
def pause_agent_run(
    org_id: Organization, agent_run_id: RunId, caller: CurrentCaller, backend: Backend
) -> ControlledRun:
    """Hold the launch of a waiting run, or the follow-ups of a launched run. The agent itself cannot be paused."""
    return pausing.pause(agent_run_id, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("run.pause", "agent_run_id"))
