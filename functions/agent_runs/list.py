"""GET /v1/organizations/{org_id}/agent/runs - list agent runs."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_api import AgentRun, Page
from codegen_runs import forms
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Limit, Organization, Skip

app = APIGatewayRestResolver(enable_validation=True)

UserId = Annotated[int | None, Query(ge=0, le=forms.LARGEST_ID, description="Only runs that this user started.")]
SourceType = Annotated[
    str | None, Query(pattern=forms.SOURCE_TYPE, description="Only runs that this started: API, SLACK, GITHUB, ...")
]


@app.get("/v1/organizations/<org_id>/agent/runs", tags=["Agent runs"], summary="List agent runs")
@app.get("/organizations/<org_id>/agent/runs", include_in_schema=False)
def list_agent_runs(
    org_id: Organization,
    codegen: TransparentCodegen,
    user_id: UserId = None,
    source_type: SourceType = None,
    skip: Skip = 0,
    limit: Limit = 100,
) -> Page[AgentRun]:
    """List the agent runs of an organization, newest first."""
    return codegen.runs.list(org_id=org_id, user_id=user_id, source_type=source_type, skip=skip, limit=limit).first


handler = endpoint(app, verbatim=True)
