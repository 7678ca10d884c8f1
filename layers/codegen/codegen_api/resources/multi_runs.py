"""Multi-runs: `api.multi_runs`. A deployment has them; Codegen itself does not."""

from collections.abc import Callable
from functools import partial
from typing import Any

from .._core import Core
from .._deployment import needs_deployment, new_key
from .._deployment_models import CursorPage, MultiRun
from .._errors import TaskTimeoutError
from .._flows import check_interval, do, gather_by_cursor, poll
from .._ids import Id, as_id, as_name
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking
from .._settings import POLL_INTERVAL, TASK_TIMEOUT

WHAT = "multi-runs"


def create(  # noqa: D417 - a caller never sees `core`
    core: Core,
    /,
    prompt: str,
    *,
    concurrency: int = 3,
    strategy: str | None = None,
    quorum: int | None = None,
    repo_id: Id | None = None,
    model: str | None = None,
    org_id: Id | None = None,
    **options: Any,
) -> Flow[MultiRun]:
    """Start several runs of one prompt, whose answers become one.

    Args:
        prompt: What each of them is to do.
        concurrency: How many.
        strategy: `synthesize`, `select` or `none`.
        quorum: With fewer usable answers it fails.
        repo_id: The repository to work in.
        model: A `value` from `api.models.list()`.
        org_id: The organization; the client's if None.
        options: What else the deployment's operation takes, such as `variants` and `deadline_s`.
    """
    yield from needs_deployment(core, WHAT)
    body = {
        "prompt": prompt,
        "concurrency": concurrency,
        "strategy": strategy,
        "quorum": quorum,
        "repo_id": None if repo_id is None else as_id(repo_id),
        "model": model,
        **options,
    }
    path = _path(core.org(org_id))
    return (yield from do(Call("POST", path, MultiRun.model_validate_json, body=body, idempotency_key=new_key())))


def get(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[MultiRun]:
    """Read a multi-run with all its candidates."""
    yield from needs_deployment(core, WHAT)
    return (yield from do(_read(core, multi_run_id, org_id)))


def list_(core: Core, *, org_id: Id | None = None) -> Flow[list[MultiRun]]:
    """List all multi-runs, newest first, without their candidates."""
    yield from needs_deployment(core, WHAT)
    path, read = _path(core.org(org_id)), CursorPage[MultiRun].model_validate_json
    return (yield from gather_by_cursor(lambda cursor: Call("GET", path, read, params={"cursor": cursor})))


def cancel(core: Core, multi_run_id: str, *, allow_pr_ban: bool = False, org_id: Id | None = None) -> Flow[MultiRun]:
    """Cancel a multi-run. Its candidates that work go on, unless their pull requests may be banned."""
    yield from needs_deployment(core, WHAT)
    path, body = f"{_path(core.org(org_id))}/{as_name(multi_run_id)}/cancel", {"allow_pr_ban": allow_pr_ban}
    return (yield from do(Call("POST", path, MultiRun.model_validate_json, body=body, idempotency_key=new_key())))


def wait(
    core: Core,
    multi_run_id: str,
    timeout: float | None = TASK_TIMEOUT,
    poll_interval: float = POLL_INTERVAL,
    *,
    on_progress: Callable[[MultiRun], object] | None = None,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Wait until a multi-run ends, and have each look at it told. Raises TaskTimeoutError after `timeout` seconds."""
    latest: MultiRun

    def look() -> Flow[None]:
        nonlocal latest
        latest = yield from do(_read(core, multi_run_id, org_id))

    def done() -> bool:
        if on_progress:
            on_progress(latest)
        return latest.is_complete()

    check_interval(poll_interval)
    yield from needs_deployment(core, WHAT)
    yield from poll(core, look, done, timeout, poll_interval, partial(_late, multi_run_id))
    return latest


def _late(multi_run_id: str, timeout: float) -> TaskTimeoutError:
    return TaskTimeoutError(f"multi-run {multi_run_id} has not ended after {timeout:g} s")


def _read(core: Core, multi_run_id: str, org_id: Id | None) -> Call[MultiRun]:
    return Call("GET", f"{_path(core.org(org_id))}/{as_name(multi_run_id)}", MultiRun.model_validate_json)


def _path(org_id: int) -> str:
    return f"/v1/organizations/{org_id}/multi-runs"


class MultiRunsResource(Resource):
    """Multi-runs."""

    create = blocking(create)
    get = blocking(get)
    list = blocking(list_)
    cancel = blocking(cancel)
    wait = blocking(wait)


class AsyncMultiRunsResource(AsyncResource):
    """Multi-runs."""

    create = awaitable(create)
    get = awaitable(get)
    list = awaitable(list_)
    cancel = awaitable(cancel)
    wait = awaitable(wait)
