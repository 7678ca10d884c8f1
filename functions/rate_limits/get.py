"""GET /v1/organizations/{org_id}/rate-limits - read the limits of the Codegen API and the launch queue."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.limits.launch_queue import RateLimits, rate_limits

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/rate-limits", tags=["Rate limits"], summary="Read the limits and the launch queue")
def get_rate_limits(org_id: Organization, caller: CurrentCaller, backend: Backend) -> RateLimits:
    """Read what is left of each limit of the Codegen API, and the runs that wait in the launch queue."""
    return rate_limits(org_id=org_id, caller=caller, backend=backend)


handler = endpoint(app)
