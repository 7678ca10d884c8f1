"""Multi-runs: `api.multi_runs`. Only a deployment has them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypedDict

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import CursorPage
from .._errors import TaskTimeoutError
from .._events import Event, EventPage, event_list, event_stream
from .._flows import check_poll_interval, perform, poll
from .._ids import Id, as_id, as_name
from .._models import Harness
from .._multi_run_models import Comparison, MultiRun, MultiRunEstimate
from .._pagination import PAGE_SIZE, Listing, by_cursor
from .._prompt import as_prompt
from .._protocol import Call, Flow, StreamFlow
from .._resource import (
    AsyncResource,
    Resource,
    async_listing,
    async_streaming,
    awaitable,
    blocking,
    listing,
    streaming,
)
from .._settings import POLL_INTERVAL, TASK_TIMEOUT

FEATURE = "multi-runs"


class Variant(TypedDict, total=False):
    """What differs for some candidates of a multi-run."""

    prompt: str
    model: str
    agent_type: Harness
    repo_id: int
    agent_id: str
    system_prompt: str


class SynthesisOptions(TypedDict, total=False):
    """How the answer is made.

    `prompt` has more instructions, and `top_k` is how many of the best answers are used. With `graft`, the chosen run
    gets what it should take over from others as a follow-up.
    """

    prompt: str
    model: str
    top_k: int
    graft: bool


class AdaptiveOptions(TypedDict, total=False):
    """How many runs are launched first, and how many answers must agree so that no further run is."""

    start: int
    agree: int


Strategy = Literal["synthesize", "select", "rank", "none"]
JudgePolicy = Literal["auto", "always", "never"]
OnDeadline = Literal["partial", "fail"]


def create(  # noqa: D417 - callers do not pass `core`
    core: Core,
    prompt: str,
    *,
    concurrency: int | None = None,
    variants: Sequence[Variant] | None = None,
    strategy: Strategy | None = None,
    close_losers: bool | None = None,
    quorum: int | None = None,
    first_k: int | None = None,
    adaptive: AdaptiveOptions | None = None,
    second_wave: int | None = None,
    judge: JudgePolicy | None = None,
    judges: Literal[1, 2] | None = None,
    synthesis: SynthesisOptions | None = None,
    deadline_s: int | None = None,
    on_deadline: OnDeadline | None = None,
    candidate_timeout_s: int | None = None,
    repo_id: Id | None = None,
    model: str | None = None,
    agent_type: Harness | None = None,
    agent_id: str | None = None,
    system_prompt: str | None = None,
    from_checkpoint: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Start several runs of one prompt, to get one answer made of theirs. Retries start it only once.

    Args:
        prompt: The task of each run.
        concurrency: Number of runs, or of runs for each of `variants`. If None: the deployment's default.
        variants: Other options for some runs. Each variant gets `concurrency` runs.
        strategy: `synthesize`, `select`, `rank` or `none`. If None: `synthesize`.
        close_losers: With `select`, whether the pull requests of the other runs are closed when one is selected. Needs
            an API token of the deployment.
        quorum: Minimum number of usable answers. With fewer, the multi-run fails.
        first_k: Number of usable answers that are enough. Runs that have not ended then do not count.
        adaptive: How many runs are launched first, and how many answers must agree so that no further one is.
        second_wave: Number of further runs that start when all others have ended, from summaries of the best.
        judge: When judges rank the usable answers: `auto`, `always` or `never`. If None: `auto`.
        judges: How many judges. The second one reads the answers in the opposite order.
        synthesis: How the answer is made.
        deadline_s: Seconds within which all runs must end.
        on_deadline: What happens if some have not: with `partial` the others count, with `fail` the multi-run fails.
        candidate_timeout_s: Seconds that one run may take.
        repo_id: The repository to work in.
        model: The language model: a `value` from `api.models.list()`.
        agent_type: `codegen` or `claude_code`. If None: the organization's default.
        agent_id: An agent of the deployment. The runs get its instructions, model and repository.
        system_prompt: Instructions at the beginning of each prompt, instead of the agent's.
        from_checkpoint: A checkpoint that each run starts from. It gets the conversation up to it before `prompt`.
        metadata: Any JSON object, which is stored with each run.
        idempotency_key: A key of your own, if you retry yourself.
        org_id: The organization. If None: the client's default.
    """
    body = _body(
        prompt,
        concurrency=concurrency,
        variants=variants,
        strategy=strategy,
        close_losers=close_losers,
        quorum=quorum,
        first_k=first_k,
        adaptive=adaptive,
        second_wave=second_wave,
        judge=judge,
        judges=judges,
        synthesis=synthesis,
        deadline_s=deadline_s,
        on_deadline=on_deadline,
        candidate_timeout_s=candidate_timeout_s,
        repo_id=repo_id,
        model=model,
        agent_type=agent_type,
        agent_id=agent_id,
        system_prompt=system_prompt,
        from_checkpoint=from_checkpoint,
        metadata=metadata,
    )
    path = _path(core.org(org_id))
    yield from require_deployment(core, FEATURE)
    return (yield from perform(_post(path, body, idempotency_key)))


def estimate(
    core: Core,
    prompt: str,
    *,
    concurrency: int | None = None,
    variants: Sequence[Variant] | None = None,
    strategy: Strategy | None = None,
    close_losers: bool | None = None,
    quorum: int | None = None,
    first_k: int | None = None,
    adaptive: AdaptiveOptions | None = None,
    second_wave: int | None = None,
    judge: JudgePolicy | None = None,
    judges: Literal[1, 2] | None = None,
    synthesis: SynthesisOptions | None = None,
    deadline_s: int | None = None,
    on_deadline: OnDeadline | None = None,
    candidate_timeout_s: int | None = None,
    repo_id: Id | None = None,
    model: str | None = None,
    agent_type: Harness | None = None,
    agent_id: str | None = None,
    system_prompt: str | None = None,
    from_checkpoint: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    org_id: Id | None = None,
) -> Flow[MultiRunEstimate]:
    """Return what a multi-run would cost, and why it would be refused. Nothing is started.

    The arguments are those of `create`.
    """
    body = _body(
        prompt,
        concurrency=concurrency,
        variants=variants,
        strategy=strategy,
        close_losers=close_losers,
        quorum=quorum,
        first_k=first_k,
        adaptive=adaptive,
        second_wave=second_wave,
        judge=judge,
        judges=judges,
        synthesis=synthesis,
        deadline_s=deadline_s,
        on_deadline=on_deadline,
        candidate_timeout_s=candidate_timeout_s,
        repo_id=repo_id,
        model=model,
        agent_type=agent_type,
        agent_id=agent_id,
        system_prompt=system_prompt,
        from_checkpoint=from_checkpoint,
        metadata=metadata,
    )
    path = f"{_path(core.org(org_id))}/estimate"
    yield from require_deployment(core, FEATURE)
    key = new_idempotency_key()  # an estimate has no effect, so it may be repeated
    return (yield from perform(Call("POST", path, MultiRunEstimate.read, body=body, idempotency_key=key)))


def add_candidate(
    core: Core,
    multi_run_id: str,
    *,
    prompt: str | None = None,
    model: str | None = None,
    agent_type: Harness | None = None,
    repo_id: Id | None = None,
    agent_id: str | None = None,
    system_prompt: str | None = None,
    idempotency_key: str | None = None,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Add a candidate to a running multi-run. Options that are left out are those of the multi-run."""
    yield from require_deployment(core, FEATURE)
    body = {
        "prompt": prompt,
        "model": model,
        "agent_type": agent_type,
        "repo_id": None if repo_id is None else as_id(repo_id),
        "agent_id": agent_id,
        "system_prompt": system_prompt,
    }
    path = f"{_path(core.org(org_id))}/{as_name(multi_run_id)}/candidates"
    return (yield from perform(_post(path, body, idempotency_key)))


def drop_candidate(
    core: Core,
    multi_run_id: str,
    index: int,
    *,
    reason: str | None = None,
    allow_pr_ban: bool = False,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Drop a candidate, which then does not count. Its run continues, unless `allow_pr_ban` allows a ban."""
    yield from require_deployment(core, FEATURE)
    path = f"{_path(core.org(org_id))}/{as_name(multi_run_id)}/candidates/{index}"
    params = {"reason": reason, "allow_pr_ban": "true" if allow_pr_ban else None}
    return (yield from perform(Call("DELETE", path, MultiRun.read, params=params)))


def get(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[MultiRun]:
    """Read a multi-run with all its candidates."""
    yield from require_deployment(core, FEATURE)
    return (yield from perform(_read(core, multi_run_id, org_id)))


def compare(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[Comparison]:
    """Compare the candidates of a multi-run: facts from their logs, agreement of their answers, and provenance."""
    yield from require_deployment(core, FEATURE)
    path = f"{_one(core.org(org_id), multi_run_id)}/compare"
    return (yield from perform(Call("GET", path, Comparison.read)))


def list_(core: Core, *, limit: int = PAGE_SIZE, org_id: Id | None = None) -> Listing[MultiRun, CursorPage[MultiRun]]:
    """List multi-runs, newest first, without their candidates. `limit` is the size of a page."""
    path, read = _path(core.org(org_id)), CursorPage[MultiRun].read
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={"cursor": cursor, "limit": limit}))


def cancel(
    core: Core, multi_run_id: str, *, allow_pr_ban: bool = False, reason: str | None = None, org_id: Id | None = None
) -> Flow[MultiRun]:
    """Cancel a multi-run. Running candidates continue, unless `allow_pr_ban` allows a ban of their pull requests.

    `cancelled_runs` of the result says what happened to each run.
    """
    body = {"allow_pr_ban": allow_pr_ban, "reason": reason}
    return (yield from _act(core, multi_run_id, "cancel", body, org_id))


def pause(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[MultiRun]:
    """Pause a multi-run: no further run is started. Agents that work continue, and deadlines stay as they are."""
    return (yield from _act(core, multi_run_id, "pause", None, org_id))


def resume(core: Core, multi_run_id: str, *, org_id: Id | None = None) -> Flow[MultiRun]:
    """End the pause of a multi-run."""
    return (yield from _act(core, multi_run_id, "resume", None, org_id))


def events(
    core: Core, multi_run_id: str, *, after: str | None = None, limit: int = PAGE_SIZE, org_id: Id | None = None
) -> Listing[Event, EventPage]:
    """List the events of a multi-run so far, from the first one or from the one after `after`."""
    return event_list(FEATURE, f"{_one(core.org(org_id), multi_run_id)}/events", after, limit)


def stream(core: Core, multi_run_id: str, *, after: str | None = None, org_id: Id | None = None) -> StreamFlow:
    """Iterate over the events of a multi-run as they happen, until it ends.

    The events arrive over one connection. If it is cut, the stream continues after the last event.
    """
    path = f"{_one(core.org(org_id), multi_run_id)}/logs/stream"
    yield from require_deployment(core, FEATURE)
    yield from event_stream(path, after)


def retry(
    core: Core, multi_run_id: str, candidates: Sequence[int] | None = None, *, org_id: Id | None = None
) -> Flow[MultiRun]:
    """Run candidates without a usable answer again, by their indexes; all that failed if there are none."""
    body = {} if candidates is None else {"candidates": list(candidates)}
    return (yield from _act(core, multi_run_id, "retry", body, org_id))


def resynthesize(  # noqa: D417 - callers do not pass `core`
    core: Core,
    multi_run_id: str,
    *,
    candidates: Sequence[int] | None = None,
    strategy: str | None = None,
    prompt: str | None = None,
    model: str | None = None,
    top_k: int | None = None,
    org_id: Id | None = None,
) -> Flow[MultiRun]:
    """Combine the answers of a multi-run that has ended again. No candidate runs again.

    Args:
        multi_run_id: The multi-run.
        candidates: The indexes of the candidates to use. If None: all usable ones.
        strategy: `synthesize`, `select` or `rank`. If None, as for the following: as before.
        prompt: Instructions for the synthesis.
        model: The model of the judges and of the synthesis.
        top_k: Join the best so many answers only.
        org_id: The organization. If None: the client's default.
    """
    chosen = None if candidates is None else list(candidates)
    body = {"candidates": chosen, "strategy": strategy, "prompt": prompt, "model": model, "top_k": top_k}
    return (yield from _act(core, multi_run_id, "resynthesize", body, org_id))


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
    body = {"candidate": candidate, "reason": reason, "replaces": replaces, "close_losers": close_losers}
    return (yield from _act(core, multi_run_id, "pick", body, org_id))


def unpick(core: Core, multi_run_id: str, *, candidate: int | None = None, org_id: Id | None = None) -> Flow[MultiRun]:
    """Undo the pick of a multi-run, or only the pick of a candidate. Pull requests that were closed stay closed."""
    path = f"{_one(core.org(org_id), multi_run_id)}/pick"
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("DELETE", path, MultiRun.read, params={"candidate": candidate})))


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


def _body(prompt: str, *, variants: Sequence[Variant] | None, repo_id: Id | None, **options: Any) -> dict[str, Any]:
    """Return the body of a new multi-run."""
    return {
        "prompt": as_prompt(prompt),
        "variants": None if variants is None else list(variants),
        "repo_id": None if repo_id is None else as_id(repo_id),
        **options,
    }


def _read(core: Core, multi_run_id: str, org_id: Id | None) -> Call[MultiRun]:
    return Call("GET", _one(core.org(org_id), multi_run_id), MultiRun.read)


def _act(
    core: Core, multi_run_id: str, action: str, body: Mapping[str, Any] | None, org_id: Id | None
) -> Flow[MultiRun]:
    path = f"{_one(core.org(org_id), multi_run_id)}/{action}"
    yield from require_deployment(core, FEATURE)
    return (yield from perform(_post(path, body)))


def _post(path: str, body: Mapping[str, Any] | None, idempotency_key: str | None = None) -> Call[MultiRun]:
    return Call("POST", path, MultiRun.read, body=body, idempotency_key=idempotency_key or new_idempotency_key())


def _path(org_id: int) -> str:
    return f"/v1/organizations/{org_id}/multi-runs"


def _one(org_id: int, multi_run_id: str) -> str:
    return f"{_path(org_id)}/{as_name(multi_run_id)}"


class MultiRunsResource(Resource):
    """Multi-runs."""

    create = blocking(create)
    estimate = blocking(estimate)
    add_candidate = blocking(add_candidate)
    drop_candidate = blocking(drop_candidate)
    get = blocking(get)
    list = listing(list_)
    compare = blocking(compare)
    cancel = blocking(cancel)
    pause = blocking(pause)
    resume = blocking(resume)
    events = listing(events)
    stream = streaming(stream)
    retry = blocking(retry)
    resynthesize = blocking(resynthesize)
    pick = blocking(pick)
    unpick = blocking(unpick)
    wait = blocking(wait)


class AsyncMultiRunsResource(AsyncResource):
    """Multi-runs."""

    create = awaitable(create)
    estimate = awaitable(estimate)
    add_candidate = awaitable(add_candidate)
    drop_candidate = awaitable(drop_candidate)
    get = awaitable(get)
    list = async_listing(list_)
    compare = awaitable(compare)
    cancel = awaitable(cancel)
    pause = awaitable(pause)
    resume = awaitable(resume)
    events = async_listing(events)
    stream = async_streaming(stream)
    retry = awaitable(retry)
    resynthesize = awaitable(resynthesize)
    pick = awaitable(pick)
    unpick = awaitable(unpick)
    wait = awaitable(wait)
