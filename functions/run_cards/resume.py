"""POST /v1/organizations/{org_id}/run-cards/{agent_run_id}/resume - send a follow-up prompt, and show the card."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, DefaultOrganization, endpoint
from codegen_runs.http.paths import RunId
from codegen_runs.run_cards.starting import PromptForFollowUp, StartedRunCard, follow_up, text_in_path
from codegen_runs.runs.requests import FollowUp

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/run-cards/<agent_run_id>/resume",
    tags=["Run cards"],
    summary="Send a follow-up prompt",
)
def resume_run_card(
    org_id: int, agent_run_id: RunId, request: FollowUp, codegen: Codegen, caller: CurrentCaller
) -> StartedRunCard:
    """Send an agent run its next prompt and return its card. The run works on under the same id."""
    return follow_up(agent_run_id, request, request.prompt, org_id=org_id, codegen=codegen, caller=caller)


@app.post("/resume_agent_run/<agent_run_id>/<query>", include_in_schema=False)
def resume_run_card_from_path(
    agent_run_id: RunId,
    query: str,
    org_id: DefaultOrganization,
    codegen: Codegen,
    caller: CurrentCaller,
    request: PromptForFollowUp | None = None,
) -> StartedRunCard:
    """Do the same with the prompt in the path; one in the body wins."""
    request = request or PromptForFollowUp()
    prompt = text_in_path(query, "query") if request.prompt is None else request.prompt
    return follow_up(agent_run_id, request, prompt, org_id=org_id, codegen=codegen, caller=caller)


handler = endpoint(app)
