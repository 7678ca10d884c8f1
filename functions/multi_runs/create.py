"""POST /v1/organizations/{org_id}/multi-runs - start a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.links import link
from codegen_runs.multi_runs import service
from codegen_runs.multi_runs.parameters import CreateMultiRun
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post("/v1/organizations/<org_id>/multi-runs", status_code=202, tags=["Multi-runs"], summary="Start a multi-run")
@app.post("/v1/organizations/<org_id>/multi-run", status_code=202, include_in_schema=False)
@app.post("/organizations/<org_id>/multi-run", status_code=202, include_in_schema=False)
def create_multi_run(
    org_id: Organization, request: CreateMultiRun, caller: CurrentCaller, backend: Backend
) -> Response[MultiRunSnapshot]:
    """Start several runs of one prompt and combine their answers into one. The Location header names the multi-run."""
    multi_run = service.create(request, org_id=org_id, caller=caller, backend=backend)
    return Response(
        status_code=202,
        content_type="application/json",
        headers={"Location": link(f"/v1/organizations/{org_id}/multi-runs/{multi_run.id}")},
        body=multi_run,
    )


handler = endpoint(app)
