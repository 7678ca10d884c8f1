"""POST /v1/organizations/{org_id}/multi-runs/{multi_run_id}/candidates - add a candidate to a multi-run."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, MultiRunId, Organization
from codegen_runs.multi_runs import membership
from codegen_runs.multi_runs.parameters import VariantOptions
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/candidates",
    status_code=201,
    tags=["Multi-runs"],
    summary="Add a candidate to a multi-run",
)
def add_candidate(
    org_id: Organization,
    multi_run_id: MultiRunId,
    caller: CurrentCaller,
    backend: Backend,
    request: VariantOptions | None = None,
) -> Response[MultiRunSnapshot]:
    """Add a candidate to a running multi-run. Options that are left out are those of the multi-run."""
    request = request or VariantOptions()
    multi_run = membership.add(org_id, multi_run_id, request, caller=caller, backend=backend)
    return Response(
        status_code=201,
        content_type="application/json",
        body=multi_run.model_copy(update={"warnings": request.ignored()}),
    )


handler = endpoint(app, audit=Act("multi_run.add_candidate", "multi_run_id"))
