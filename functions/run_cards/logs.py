"""GET /v1/organizations/{org_id}/run-cards/{agent_run_id}/logs - read the log of a run, and how far it is."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import DefaultOrganization, endpoint
from codegen_runs.http.paging import Limit, Skip
from codegen_runs.http.paths import RunId
from codegen_runs.run_cards import progress
from codegen_runs.run_cards.progress import RunCardLogs

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/run-cards/<agent_run_id>/logs",
    tags=["Run cards"],
    summary="Read the log of a run, and how far it is",
)
def get_run_card_logs(
    org_id: int, agent_run_id: RunId, codegen: Codegen, skip: Skip = 0, limit: Limit = 100
) -> RunCardLogs:
    """Read a page of a run's log, oldest first, with what the tools did in it, and how far the run is."""
    return progress.read(agent_run_id, org_id=org_id, skip=skip, limit=limit, codegen=codegen)


@app.get("/agent_runs/<agent_run_id>/logs", include_in_schema=False)
def get_run_card_logs_of_deployment(
    agent_run_id: RunId, org_id: DefaultOrganization, codegen: Codegen, skip: Skip = 0, limit: Limit = 100
) -> RunCardLogs:
    """Do the same in the deployment's organization."""
    return get_run_card_logs(org_id, agent_run_id, codegen, skip, limit)


handler = endpoint(app)
