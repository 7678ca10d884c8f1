"""GET /v1/organizations/{org_id}/repos/check-suite-settings - read how failed checks of a repository are repaired."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import CheckSuiteSettings
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import IdInQuery, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.get(
    "/v1/organizations/<org_id>/repos/check-suite-settings", tags=["Repositories"], summary="Read the check settings"
)
def get_check_suite_settings(
    org_id: Organization, repo_id: IdInQuery, codegen: TransparentCodegen
) -> CheckSuiteSettings:
    """Read whether and how Codegen repairs failed checks of a repository."""
    return codegen.repos.check_suite_settings(repo_id, org_id=org_id)


handler = endpoint(app, verbatim=True)
