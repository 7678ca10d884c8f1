"""GET /v1/organizations/{org_id}/repos - list the repositories of an organization."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import Page, Repo
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Limit, Organization, Skip

app = APIGatewayRestResolver(enable_validation=True)


@app.get("/v1/organizations/<org_id>/repos", tags=["Repositories"], summary="List the repositories of an organization")
@app.get("/organizations/<org_id>/repos", include_in_schema=False)
def list_repos(org_id: Organization, codegen: TransparentCodegen, skip: Skip = 0, limit: Limit = 100) -> Page[Repo]:
    """List the repositories of an organization."""
    return codegen.repos.list(org_id=org_id, skip=skip, limit=limit).first


handler = endpoint(app, verbatim=True)
