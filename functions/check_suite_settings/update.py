"""PUT /v1/organizations/{org_id}/repos/check-suite-settings - change how failed checks of a repository are repaired."""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from pydantic import Field

from codegen_runs.audit.acts import Act
from codegen_runs.bodies import Body
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import IdInQuery, Organization
from codegen_runs.roles import Role

app = APIGatewayRestResolver(enable_validation=True)


class UpdateCheckSuiteSettings(Body):
    """The settings to change. A setting that is null or absent stays as it is."""

    check_retry_count: Annotated[
        int | None, Field(ge=0, le=10, description="How many times Codegen tries to repair a failed check.")
    ] = None
    ignored_checks: Annotated[list[str] | None, Field(description="The checks that are not repaired.")] = None
    check_retry_counts: Annotated[
        dict[str, int] | None, Field(description="The number of times by the name of a check.")
    ] = None
    custom_prompts: Annotated[
        dict[str, str] | None, Field(description="Additional instructions by the name of a check.")
    ] = None
    high_priority_apps: Annotated[
        list[str] | None, Field(description="The apps whose failed checks are repaired at once.")
    ] = None


@app.put(
    "/v1/organizations/<org_id>/repos/check-suite-settings", tags=["Repositories"], summary="Change the check settings"
)
def update_check_suite_settings(
    org_id: Organization, repo_id: IdInQuery, request: UpdateCheckSuiteSettings, codegen: TransparentCodegen
) -> Any:
    """Change whether and how Codegen repairs failed checks of a repository."""
    return codegen.repos.update_check_suite_settings(
        repo_id,
        check_retry_count=request.check_retry_count,
        ignored_checks=request.ignored_checks,
        check_retry_counts=request.check_retry_counts,
        custom_prompts=request.custom_prompts,
        high_priority_apps=request.high_priority_apps,
        org_id=org_id,
    )


handler = endpoint(
    app, audit=Act("check_suite_settings.update", "repo_id"), verbatim=True, role=Role.ADMIN, codegen_decides=True
)
