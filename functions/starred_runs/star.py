"""POST /v1/organizations/{org_id}/starred-runs - star an agent run, or take its star away."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.codegen import Codegen
from codegen_runs.http.edge import CurrentCaller, DefaultOrganization, endpoint
from codegen_runs.run_cards import starred
from codegen_runs.run_cards.starred import StarredRun, StarRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/starred-runs", tags=["Starred runs"], summary="Star an agent run")
def star_run(org_id: int, request: StarRun, codegen: Codegen, caller: CurrentCaller) -> StarredRun:
    """Star a run, with a note if there is one, or take its star away. Starred twice is starred once."""
    answer = starred.star(request, org_id=org_id, caller=caller, codegen=codegen)
    return answer.model_copy(update={"warnings": request.ignored()})


@app.post("/v1/starred-runs", include_in_schema=False)
@app.post("/starred-runs", include_in_schema=False)
def star_run_of_deployment(
    request: StarRun, org_id: DefaultOrganization, codegen: Codegen, caller: CurrentCaller
) -> StarredRun:
    """Do the same in the deployment's organization."""
    return star_run(org_id, request, codegen, caller)


handler = endpoint(app)
