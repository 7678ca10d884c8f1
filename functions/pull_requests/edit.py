"""PATCH /v1/organizations/{org_id}/prs/{pr_id} - change the state of a pull request."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from codegen_api import EditedPullRequest, PullRequestState
from codegen_runs.audit.acts import Act
from codegen_runs.bodies import Body
from codegen_runs.http.codegen import TransparentCodegen
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Id, Organization
from codegen_runs.limits.permits import permit

app = APIGatewayRestResolver(enable_validation=True)


class EditPullRequest(Body):
    """The new state of a pull request."""

    state: PullRequestState


@app.patch(
    "/v1/organizations/<org_id>/prs/<pr_id>", tags=["Pull requests"], summary="Change the state of a pull request"
)
def edit_pull_request(
    org_id: Organization,
    pr_id: Id,
    request: EditPullRequest,
    codegen: TransparentCodegen,
    caller: CurrentCaller,
    backend: Backend,
) -> EditedPullRequest:
    """Open or close a pull request, or make it a draft or ready for review."""
    with permit("pull_requests", caller, org_id, backend):
        return codegen.pull_requests.edit(pr_id, request.state, org_id=org_id)


@app.patch(
    "/v1/organizations/<org_id>/repos/<repo_id>/prs/<pr_id>",
    tags=["Pull requests"],
    summary="Change the state of a pull request of a repository",
)
def edit_pull_request_of_repository(
    org_id: Organization,
    repo_id: Id,
    pr_id: Id,
    request: EditPullRequest,
    codegen: TransparentCodegen,
    caller: CurrentCaller,
    backend: Backend,
) -> EditedPullRequest:
    """Do the same for a pull request of the given repository."""
    with permit("pull_requests", caller, org_id, backend):
        return codegen.pull_requests.edit(pr_id, request.state, repo_id=repo_id, org_id=org_id)


handler = endpoint(app, audit=Act("pull_request.edit", "pr_id", details=("repo_id", "state")), verbatim=True)
