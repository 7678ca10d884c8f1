"""GET /v1/organizations/{org_id}/run-cards/{agent_run_id}/logs - read the log and the progress of a run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, Limit, Organization, RunId, Skip
from codegen_runs.run_cards import progress
from codegen_runs.run_cards.progress import RunCardLogs

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/run-cards/<agent_run_id>/logs",
    tags=["Run cards"],
    summary="Read the log and the progress of a run",
)
@app.get("/agent_runs/<agent_run_id>/logs", include_in_schema=False)
def get_run_card_logs(
    org_id: Organization, agent_run_id: RunId, backend: Backend, skip: Skip = 0, limit: Limit = 100
) -> RunCardLogs:
    """Read a page of a run's log, oldest first, with a summary of its tool calls and the run's progress."""
    return progress.read(agent_run_id, org_id=org_id, skip=skip, limit=limit, backend=backend)


handler = endpoint(app)
