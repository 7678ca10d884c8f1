"""DELETE /v1/organizations/{org_id}/multi-runs/{multi_run_id}/pick - undo the pick of a multi-run."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.audit.acts import Act
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, MultiRunId, Organization
from codegen_runs.multi_runs import picking
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot

app = APIGatewayRestResolver(enable_validation=True)

Picked = Annotated[int | None, Query(ge=0, description="Undo only the pick of this candidate; 409 for another one.")]


@app.delete(
    "/v1/organizations/<org_id>/multi-runs/<multi_run_id>/pick",
    tags=["Multi-runs"],
    summary="Undo the pick of a multi-run",
)
def unpick_candidate(
    org_id: Organization, multi_run_id: MultiRunId, caller: CurrentCaller, backend: Backend, candidate: Picked = None
) -> MultiRunSnapshot:
    """Return to the answer that the multi-run found. Pull requests that were closed stay closed."""
    return picking.unpick(org_id, multi_run_id, candidate=candidate, caller=caller, backend=backend)


handler = endpoint(app, audit=Act("multi_run.unpick", "multi_run_id", details=("candidate",)))
