"""Pull requests: `api.pull_requests`."""

from .._core import Core
from .._ids import Id, as_id
from .._models import EditedPullRequest, PullRequestState
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def edit(  # noqa: D417 - callers do not pass `core`
    core: Core, pr_id: Id, state: PullRequestState, *, repo_id: Id | None = None, org_id: Id | None = None
) -> Call[EditedPullRequest]:
    """Change the state of a pull request. Rate limit: 30 calls per minute.

    Args:
        pr_id: Codegen's id of the pull request.
        state: `open`, `closed`, `draft` or `ready_for_review`.
        repo_id: The repository of the pull request. The id alone is sufficient.
        org_id: The organization. If None: the client's default.
    """
    repo = "" if repo_id is None else f"/repos/{as_id(repo_id)}"
    path = f"/v1/organizations/{core.org(org_id)}{repo}/prs/{as_id(pr_id)}"
    return Call("PATCH", path, EditedPullRequest.read, body={"state": state})


class PullRequestsResource(Resource):
    """Pull requests."""

    edit = blocking(edit)


class AsyncPullRequestsResource(AsyncResource):
    """Pull requests."""

    edit = awaitable(edit)
