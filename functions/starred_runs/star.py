"""POST /v1/organizations/{org_id}/starred-runs - star or unstar an agent run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.run_cards import starred
from codegen_runs.run_cards.starred import StarredRun, StarRun

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/starred-runs", tags=["Starred runs"], summary="Star an agent run")
@app.post("/v1/starred-runs", include_in_schema=False)
@app.post("/starred-runs", include_in_schema=False)
def star_run(org_id: Organization, request: StarRun, caller: CurrentCaller, backend: Backend) -> StarredRun:
    """Star a run, optionally with a note, or unstar it. Starring a run again keeps the time of its first star."""
    answer = starred.star(request, org_id=org_id, caller=caller, backend=backend)
    return answer.model_copy(update={"warnings": request.ignored()})


handler = endpoint(app, own_data=True)
