"""Repositories: `api.repos`."""

from collections.abc import Mapping, Sequence

from .._core import Core
from .._ids import Id, as_id
from .._models import CheckSuiteSettings, Page, Repo
from .._pagination import PAGE_SIZE, Listing, by_position
from .._protocol import Call, Json, any_json
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing


def list_(
    core: Core, *, org_id: Id | None = None, skip: int = 0, limit: int = PAGE_SIZE
) -> "Listing[Repo, Page[Repo]]":
    """List the repositories of an organization. `limit` is the size of a page."""
    path, read = f"/v1/organizations/{core.org(org_id)}/repos", Page[Repo].read
    return by_position(lambda skip: Call("GET", path, read, params={"skip": skip, "limit": limit}), skip)


def check_suite_settings(core: Core, repo_id: Id, *, org_id: Id | None = None) -> Call[CheckSuiteSettings]:
    """Read whether and how Codegen repairs failed checks of a repository."""
    return Call(
        "GET",
        _check_suite_settings(core, org_id),
        CheckSuiteSettings.read,
        params={"repo_id": as_id(repo_id)},
    )


def update_check_suite_settings(  # noqa: D417 - callers do not pass `core`
    core: Core,
    repo_id: Id,
    *,
    check_retry_count: int | None = None,
    ignored_checks: Sequence[str] | None = None,
    check_retry_counts: Mapping[str, int] | None = None,
    custom_prompts: Mapping[str, str] | None = None,
    high_priority_apps: Sequence[str] | None = None,
    org_id: Id | None = None,
) -> Call[Json]:
    """Change how Codegen repairs failed checks of a repository. What is None stays. The response is undocumented.

    Args:
        repo_id: The repository.
        check_retry_count: How many times Codegen tries to repair a failed check, 0 to 10.
        ignored_checks: The names of the checks that it does not repair.
        check_retry_counts: The number of times by the name of a check.
        custom_prompts: Additional instructions by the name of a check.
        high_priority_apps: The apps whose failed checks it repairs at once.
        org_id: The organization. If None: the client's default.
    """
    return Call(
        "PUT",
        _check_suite_settings(core, org_id),
        any_json,
        params={"repo_id": as_id(repo_id)},
        body={
            "check_retry_count": check_retry_count,
            "ignored_checks": ignored_checks if ignored_checks is None else list(ignored_checks),
            "check_retry_counts": check_retry_counts if check_retry_counts is None else dict(check_retry_counts),
            "custom_prompts": custom_prompts if custom_prompts is None else dict(custom_prompts),
            "high_priority_apps": high_priority_apps if high_priority_apps is None else list(high_priority_apps),
        },
    )


def _check_suite_settings(core: Core, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/repos/check-suite-settings"


class ReposResource(Resource):
    """Repositories."""

    list = listing(list_)
    check_suite_settings = blocking(check_suite_settings)
    update_check_suite_settings = blocking(update_check_suite_settings)


class AsyncReposResource(AsyncResource):
    """Repositories."""

    list = async_listing(list_)
    check_suite_settings = awaitable(check_suite_settings)
    update_check_suite_settings = awaitable(update_check_suite_settings)
