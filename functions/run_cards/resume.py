"""POST /v1/organizations/{org_id}/run-cards/{agent_run_id}/resume - send a follow-up prompt and return the card."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization, RunId
from codegen_runs.run_cards.starting import PromptForFollowUp, StartedRunCard, follow_up, text_in_path
from codegen_runs.runs.requests import FollowUp

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/run-cards/<agent_run_id>/resume",
    tags=["Run cards"],
    summary="Send a follow-up prompt",
)
def resume_run_card(
    org_id: Organization, agent_run_id: RunId, request: FollowUp, caller: CurrentCaller, backend: Backend
) -> StartedRunCard:
    """Send a follow-up prompt to an agent run and return its card. The run continues under the same id."""
    return follow_up(agent_run_id, request, request.prompt, org_id=org_id, caller=caller, backend=backend)


@app.post("/resume_agent_run/<agent_run_id>/<query>", include_in_schema=False)
def resume_run_card_from_path(
    agent_run_id: RunId,
    query: str,
    org_id: Organization,
    backend: Backend,
    caller: CurrentCaller,
    request: PromptForFollowUp | None = None,
) -> StartedRunCard:
    """Do the same with the prompt in the path. A prompt in the body wins."""
    request = request or PromptForFollowUp()
    prompt = text_in_path(query, "query") if request.prompt is None else request.prompt
    return follow_up(agent_run_id, request, prompt, org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("run.resume", "agent_run_id"))
