"""Multi-runs: `api.multi_runs`. Only a deployment has them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import Comparison, CursorPage, MultiRun
from .._errors import TaskTimeoutError
from .._flows import check_poll_interval, perform, poll, read_cursor_list
from .._ids import Id, as_id, as_name
from .._prompt import as_prompt
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking
from .._settings import POLL_INTERVAL, TASK_TIMEOUT

FEATURE = "multi-runs"


def create(  # noqa: D417 - callers do not pass `core`
    core: Core,
    /,
    prompt: str,
    *,
    concurrency: int | None = None,
    strategy: str | None = None,
    quorum: int | None = None,
    repo_id: Id | None = None,
    model: str | None = None,
    org_id: Id | None = None,
    **options: Any,
) -> Flow[MultiRun]:
    """Start several runs of one prompt, to get one answer made of theirs.

    Args:
        prompt: The task of each run.
        concurrency: Number of runs, or of runs for each of `variants`. If None: the deployment's default.
        strategy: `synthesize`, `select` or `none`.
        quorum: Minimum number of usable answers. With fewer, the multi-run fails.
        repo_id: The repository to work in.
        model: The language model: a `value` from `api.models.list()`.
        org_id: The organization. If None: the client's default.
        options: Other fields of the deployment's operation, such as `variants` and `deadline_s`.
    """
    yield from require_deployment(core, FEATURE)
    body = {
        "prompt": as_prompt(prompt),
        "concurrency": concurrency,
        "strategy": strategy,
        "quorum": quorum,
        "repo_id": None if repo_id is None else as_id(repo_id),
        "model": model,
        **options,
    }
    return (yield from perform(_post(_path(core.org(org_id)), body)))


def get(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[MultiRun]:
    """Read a multi-run with all its candidates."""
    yield from require_deployment(core, FEATURE)
    return (yield from perform(_read(core, multi_run_id, org_id)))


def compare(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[Comparison]:
    """Compare the candidates of a multi-run: facts from their logs, agreement of their answers, and provenance."""
    yield from require_deployment(core, FEATURE)
    path = f"{_path(core.org(org_id))}/{as_name(multi_run_id)}/compare"
    return (yield from perform(Call("GET", path, Comparison.read)))


def list_(core: Core, *, org_id: Id | None = None) -> Flow[list[MultiRun]]:
    """Read all multi-runs, newest first, without their candidates."""
    yield from require_deployment(core, FEATURE)
    path, read = _path(core.org(org_id)), CursorPage[MultiRun].read
    return (yield from read_cursor_list(lambda cursor: Call("GET", path, read, params={"cursor": cursor})))


def cancel(core: Core, multi_run_id: str, *, allow_pr_ban: bool = False, org_id: Id | None = None) -> Flow[MultiRun]:
    """Cancel a multi-run. Running candidates continue, unless `allow_pr_ban` allows a ban of their pull requests."""
    yield from require_deployment(core, FEATURE)
    path = f"{_path(core.org(org_id))}/{as_name(multi_run_id)}/cancel"
    return (yield from perform(_post(path, {"allow_pr_ban": allow_pr_ban})))


def pick(  # noqa: D417 - callers do not pass `core`
    core: Core,
    multi_run_id: str,
    candidate: int,
    *,
    reason: str | None = None,
    replaces: int | None = None,
    close_losers: bool = False,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Make the answer of a candidate the answer of a multi-run.

    Args:
        multi_run_id: The multi-run.
        candidate: The index of the candidate.
        reason: Why. It is kept with the pick.
        replaces: The candidate that is picked now, to replace that pick. Otherwise another pick raises ConflictError.
        close_losers: Close the pull requests of the other candidates. `losers` of the result has the outcomes.
        org_id: The organization. If None: the client's default.
    """
    yield from require_deployment(core, FEATURE)
    body = {"candidate": candidate, "reason": reason, "replaces": replaces, "close_losers": close_losers}
    return (yield from perform(_post(f"{_path(core.org(org_id))}/{as_name(multi_run_id)}/pick", body)))


def unpick(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[MultiRun]:
    """Undo the pick of a multi-run. Pull requests that were closed stay closed."""
    yield from require_deployment(core, FEATURE)
    path = f"{_path(core.org(org_id))}/{as_name(multi_run_id)}/pick"
    return (yield from perform(Call("DELETE", path, MultiRun.read)))


def wait(
    core: Core,
    multi_run_id: str,
    timeout: float | None = TASK_TIMEOUT,
    poll_interval: float = POLL_INTERVAL,
    *,
    on_progress: Callable[[MultiRun], object] | None = None,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Wait until a multi-run ends. Raise TaskTimeoutError after `timeout` seconds; None for no limit.

    `on_progress` is called with the multi-run after each poll.
    """
    latest: MultiRun

    def poll_once() -> Flow[None]:
        nonlocal latest
        latest = yield from perform(_read(core, multi_run_id, org_id))

    def done() -> bool:
        if on_progress:
            on_progress(latest)
        return latest.is_complete()

    check_poll_interval(poll_interval)
    yield from require_deployment(core, FEATURE)
    yield from poll(core, poll_once, done, timeout, poll_interval, partial(_timeout_error, multi_run_id))
    return latest


def _timeout_error(multi_run_id: str, timeout: float) -> TaskTimeoutError:
    return TaskTimeoutError(f"multi-run {multi_run_id} has not ended after {timeout:g} s")


def _read(core: Core, multi_run_id: str, org_id: Id | None) -> Call[MultiRun]:
    return Call("GET", f"{_path(core.org(org_id))}/{as_name(multi_run_id)}", MultiRun.read)


def _post(path: str, body: dict[str, Any]) -> Call[MultiRun]:
    return Call("POST", path, MultiRun.read, body=body, idempotency_key=new_idempotency_key())


def _path(org_id: int) -> str:
    return f"/v1/organizations/{org_id}/multi-runs"


class MultiRunsResource(Resource):
    """Multi-runs."""

    create = blocking(create)
    get = blocking(get)
    compare = blocking(compare)
    list = blocking(list_)
    cancel = blocking(cancel)
    pick = blocking(pick)
    unpick = blocking(unpick)
    wait = blocking(wait)


class AsyncMultiRunsResource(AsyncResource):
    """Multi-runs."""

    create = awaitable(create)
    get = awaitable(get)
    compare = awaitable(compare)
    list = awaitable(list_)
    cancel = awaitable(cancel)
    pick = awaitable(pick)
    unpick = awaitable(unpick)
    wait = awaitable(wait)
