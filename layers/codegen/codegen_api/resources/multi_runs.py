"""Multi-runs: `api.multi_runs`. A deployment has them; Codegen itself does not."""

import math
from collections.abc import Callable
from typing import Any

from .._core import Core
from .._errors import TaskTimeoutError
from .._models import CursorPage
from .._multi_run import MultiRun
from .._peer import needs_deployment, new_key
from .._resource import AsyncResource, Resource, awaiting, flowing
from .._settings import Id, as_id, as_name
from .._steps import PASSING, Patience, do, gather_by_cursor
from .._wire import Call, Flow, Wait
from .._work import PATIENCE, check_interval

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
    timeout: float | None = 3600.0,
    poll_interval: float = 5.0,
    *,
    on_progress: Callable[[MultiRun], object] | None = None,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Wait until a multi-run ends, and have each look at it told. Raises TaskTimeoutError after `timeout` seconds."""
    check_interval(poll_interval)
    yield from needs_deployment(core, WHAT)
    until = math.inf if timeout is None else core.clock() + timeout
    patience = Patience(PATIENCE)
    while True:
        try:
            multi_run = yield from do(_read(core, multi_run_id, org_id))
        except PASSING as error:
            patience.bear(error)
        else:
            patience.renew()
            if on_progress:
                on_progress(multi_run)
            if multi_run.is_complete():
                return multi_run
        left = until - core.clock()
        if left <= 0:
            raise TaskTimeoutError(f"multi-run {multi_run_id} has not ended after {timeout:g} s")
        yield Wait(min(poll_interval, left))


def _read(core: Core, multi_run_id: str, org_id: Id | None) -> Call[MultiRun]:
    return Call("GET", f"{_path(core.org(org_id))}/{as_name(multi_run_id)}", MultiRun.model_validate_json)


def _path(org_id: int) -> str:
    return f"/v1/organizations/{org_id}/multi-runs"


class MultiRunsResource(Resource):
    """Multi-runs."""

    create = flowing(create)
    get = flowing(get)
    list = flowing(list_)
    cancel = flowing(cancel)
    wait = flowing(wait)


class AsyncMultiRunsResource(AsyncResource):
    """Multi-runs."""

    create = awaiting(create)
    get = awaiting(get)
    list = awaiting(list_)
    cancel = awaiting(cancel)
    wait = awaiting(wait)
