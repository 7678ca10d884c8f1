"""GET /v1/organizations/{org_id}/usage - count what an organization used."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import Field

from codegen_runs import usage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization
from codegen_runs.usage import Usage

app = APIGatewayRestResolver(enable_validation=True)

# It is read in `usage.span`: Pydantic would take a date as a time.
Moment = Annotated[str, Field(json_schema_extra={"anyOf": [{"format": "date"}, {"format": "date-time"}]})]
Start = Annotated[Moment | None, Query(description="A date or a time; 30 days before the end if absent.")]
End = Annotated[Moment | None, Query(description="A date, which is included, or a time; now if absent.")]


@app.get("/v1/organizations/<org_id>/usage", tags=["Organizations"], summary="Read the usage of an organization")
def get_organization_usage(
    org_id: Organization, caller: CurrentCaller, backend: Backend, start_date: Start = None, end_date: End = None
) -> Usage:
    """Count runs by status, source and user, multi-runs, and runs created at Codegen; list what cannot be counted."""
    return usage.report(org_id, usage.span(start_date, end_date, backend.clock), caller=caller, backend=backend)


handler = endpoint(app)
