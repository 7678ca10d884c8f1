"""POST /v1/organizations/{org_id}/run-cards - start an agent run and return its card."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.run_cards.starting import CreateRunCard, PromptForRun, StartedRunCard, start, text_in_path

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/run-cards", tags=["Run cards"], summary="Start an agent run")
def create_run_card(
    org_id: Organization, request: CreateRunCard, caller: CurrentCaller, backend: Backend
) -> StartedRunCard:
    """Start an agent run and return its card. The mode is stored in the run's metadata."""
    return start(request, request.prompt, mode=request.mode, org_id=org_id, caller=caller, backend=backend)


@app.post("/create_agent_run/<mode>/<query>", include_in_schema=False)
def create_run_card_from_path(
    mode: str,
    query: str,
    org_id: Organization,
    backend: Backend,
    caller: CurrentCaller,
    request: PromptForRun | None = None,
) -> StartedRunCard:
    """Do the same with the mode and the prompt in the path. A prompt in the body wins."""
    request = request or PromptForRun()
    prompt = text_in_path(query, "query") if request.prompt is None else request.prompt
    return start(request, prompt, mode=text_in_path(mode, "mode"), org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app)
