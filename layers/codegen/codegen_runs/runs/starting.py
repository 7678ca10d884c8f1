"""Start and continue agent runs upstream, and have the poller follow them."""

from typing import TYPE_CHECKING

from codegen_api import AgentRun, Harness, SandboxAnalysis, SetupCommands
from codegen_runs import metrics
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned, with_warnings
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.logs import logger
from codegen_runs.metrics import Metric
from codegen_runs.problems import Conflict, StorageUnavailable
from codegen_runs.runs.requests import CreateAgentRun, FollowUp, GenerateSetupCommands

if TYPE_CHECKING:
    from codegen_runs.budgets.spending import Spent
    from codegen_runs.prompts import Source
    from codegen_runs.storage.agents import AgentProfile


class FollowUpHeld(Conflict):
    """The run accepts no follow-up now."""

    code = "follow_up_held"


def start(
    request: CreateAgentRun,
    *,
    org_id: int,
    caller: Caller,
    backend: Backend,
    agent: "AgentProfile | None" = None,
    source: "Source | None" = None,
    sent: str | None = None,
) -> AgentRun:
    """Start a run and follow it.

    Args:
        request: The new run.
        org_id: The organization, which the caller belongs to.
        caller: The caller.
        backend: Its Codegen client acts as the caller.
        agent: The agent to use in place of the one that the request names. The upstream then receives more than the
            prompt; the record keeps the prompt alone, with the agent's id and version as its source.
        source: Further sources of the prompt, for the record of the run's prompts.
        sent: The text that the upstream receives in place of the prompt. The record keeps the prompt alone.

    Raises:
        AgentNotFound: There is no such agent.
        CodegenAPIError: The upstream did not start the run, or may have (`effect_unknown`).
        BudgetExhausted: A budget of the organization or the caller is used up; nothing was sent.
        NoPermit: The upstream's limit is used up for longer than a caller can wait.
        TooManyQueuedRuns: The caller has too many queued runs; nothing was sent.
    """
    # Imported here and below, because the operations that start nothing share this module and need no storage.
    from codegen_runs.budgets import spending
    from codegen_runs.limits import backlogs
    from codegen_runs.limits.permits import permit

    backlogs.check(org_id=org_id, caller=caller, backend=backend)
    completed = request
    if agent is None and request.agent_id is not None:
        from codegen_runs.agents import profiles

        agent = profiles.get(request.agent_id, org_id=org_id, backend=backend)
    if agent is not None:
        from codegen_runs.agents import composing

        completed = _completed_by(agent, request)
        source = {**(source or {}), **composing.named(agent)}
    with (
        spending.for_run(org_id=org_id, caller=caller, backend=backend) as spent,
        permit("create", caller, org_id, backend),
    ):
        run = backend.codegen.with_more(body=request.unknown()).runs.create(
            sent or completed.prompt,
            org_id=org_id,
            images=completed.images,
            metadata=completed.metadata,
            repo_id=completed.repo_id,
            model=completed.model,
            agent_type=completed.agent_type,
            webhooks=completed.webhooks,
        )
    unfollowed = _follow(
        run.id,
        run.status,
        org_id=org_id,
        caller=caller,
        web_url=run.web_url,
        prompt=request.prompt,
        repo_id=completed.repo_id,
        model=completed.model,
        agent_type=completed.agent_type,
        source=source,
        spent=spent,
        backend=backend,
    )
    return with_warnings(run, request.passed_on() + spent.warned + unfollowed)


def resume(
    run_id: str,
    request: FollowUp,
    *,
    org_id: int,
    caller: Caller,
    backend: Backend,
    source: "Source | None" = None,
    sent: str | None = None,
) -> AgentRun:
    """Send a run its next prompt, and follow the run.

    Args:
        run_id: The upstream's id, or our key.
        request: The prompt.
        org_id: The organization, which the caller belongs to.
        caller: The caller.
        backend: Its Codegen client acts as the caller.
        source: The source of the prompt, for the record of the run's prompts.
        sent: The text that the upstream receives in place of the prompt. The record keeps the prompt alone.

    Raises:
        BudgetExhausted: A budget of the organization or the caller is used up; nothing was sent.
        CodegenAPIError: The upstream did not accept the prompt, or may have (`effect_unknown`).
        FollowUpHeld: The run is paused, being cancelled, or not launched.
        RunNotFound: There is no run with this key.
        TooManyQueuedRuns: The caller has too many queued runs; nothing was sent.
        StorageUnavailable: Could not read whether the run is paused; nothing was sent.
    """
    from codegen_runs.budgets import spending
    from codegen_runs.limits import backlogs

    backlogs.check(org_id=org_id, caller=caller, backend=backend)
    to = _run_to_follow_up(run_id, org_id=org_id, backend=backend)
    with spending.for_run(org_id=org_id, caller=caller, backend=backend, follow_up_to=to) as spent:
        run = backend.codegen.with_more(body=request.unknown()).runs.follow_up(
            to,
            sent or request.prompt,
            org_id=org_id,
            images=request.images,
            model=request.model,
            webhooks=request.webhooks,
        )
    unfollowed = _follow(
        run.id,
        run.status,
        org_id=org_id,
        caller=caller,
        web_url=run.web_url,
        prompt=request.prompt,
        model=request.model,
        follow_up=True,
        source=source,
        spent=spent,
        backend=backend,
    )
    return with_warnings(run, request.passed_on() + spent.warned + unfollowed)


def _run_to_follow_up(run_id: str, *, org_id: int, backend: Backend) -> int:
    """Return the upstream's id of a run that can receive another prompt. Raises `RunNotFound`, `FollowUpHeld`."""
    from codegen_runs.runs.actions import refused_follow_up
    from codegen_runs.runs.finding import RunNotFound, find

    watch = find(run_id, org_id=org_id, runs=backend.runs)
    if watch is None:
        if run_id.isdecimal():
            return int(run_id)
        raise RunNotFound(run_id)
    refusal = refused_follow_up(
        watch.status,
        launched=watch.agent_run_id is not None,
        paused=watch.paused_at is not None,
        cancel_requested=watch.cancel is not None,
    )
    if refusal or watch.agent_run_id is None:
        raise FollowUpHeld(refusal)
    return watch.agent_run_id


def generate_setup_commands(
    request: GenerateSetupCommands, *, org_id: int, caller: Caller, backend: Backend
) -> SetupCommands:
    """Start the run that finds a repository's setup commands, and follow it.

    Raises:
        CodegenAPIError: The upstream did not start the run, or may have (`effect_unknown`).
        BudgetExhausted: A budget of the organization or the caller is used up; nothing was sent.
        NoPermit: The upstream's limit is used up for longer than a caller can wait.
        TooManyQueuedRuns: The caller has too many queued runs; nothing was sent.
    """
    from codegen_runs.budgets import spending
    from codegen_runs.limits import backlogs
    from codegen_runs.limits.permits import permit

    backlogs.check(org_id=org_id, caller=caller, backend=backend)
    with (
        spending.for_run(org_id=org_id, caller=caller, backend=backend) as spent,
        permit("setup", caller, org_id, backend),
    ):
        run = backend.codegen.with_more(body=request.unknown()).setup_commands.generate(
            request.repo_id, request.prompt, request.trigger_source, org_id=org_id
        )
    unfollowed = _follow(
        run.agent_run_id,
        run.status,
        org_id=org_id,
        caller=caller,
        web_url=run.url,
        prompt=request.prompt,
        repo_id=request.repo_id,
        spent=spent,
        backend=backend,
    )
    return with_warnings(run, request.passed_on() + spent.warned + unfollowed)


def analyze_sandbox_logs(sandbox_id: int, *, org_id: int, caller: Caller, backend: Backend) -> SandboxAnalysis:
    """Start the run that reads a sandbox's setup logs, and follow it.

    Raises:
        CodegenAPIError: The upstream did not start the run, or may have (`effect_unknown`).
        BudgetExhausted: A budget of the organization or the caller is used up; nothing was sent.
        NoPermit: The upstream's limit is used up for longer than a caller can wait.
        TooManyQueuedRuns: The caller has too many queued runs; nothing was sent.
    """
    from codegen_runs.budgets import spending
    from codegen_runs.limits import backlogs
    from codegen_runs.limits.permits import permit

    backlogs.check(org_id=org_id, caller=caller, backend=backend)
    with (
        spending.for_run(org_id=org_id, caller=caller, backend=backend) as spent,
        permit("setup", caller, org_id, backend),
    ):
        run = backend.codegen.sandboxes.analyze_logs(sandbox_id, org_id=org_id)
    unfollowed = _follow(run.agent_run_id, run.status, org_id=org_id, caller=caller, spent=spent, backend=backend)
    return with_warnings(run, spent.warned + unfollowed)


def _completed_by(agent: "AgentProfile", request: CreateAgentRun) -> CreateAgentRun:
    """Return the request for the upstream; the caller's own model and repository win over the agent's."""
    from codegen_runs.agents import composing

    prompt = composing.compose(request.prompt, system_prompt=agent.system_prompt, configuration=agent.configuration)
    return request.model_copy(
        update={
            "prompt": prompt,
            "model": request.model or agent.model,
            "repo_id": agent.repo_id if request.repo_id is None else request.repo_id,
            "metadata": {**(request.metadata or {}), **composing.named(agent)},
        }
    )


def _follow(
    agent_run_id: int,
    status: str | None,
    *,
    org_id: int,
    caller: Caller,
    spent: "Spent",
    web_url: str | None = None,
    prompt: str | None = None,
    repo_id: int | None = None,
    model: str | None = None,
    agent_type: Harness | None = None,
    follow_up: bool = False,
    source: "Source | None" = None,
    backend: Backend,
) -> list[Warned]:
    """Have the poller follow a run. The run exists in any case, so a failure is only a warning."""
    from codegen_runs.prompts import Prompt
    from codegen_runs.runs.following import follow, warn_of_budgets
    from codegen_runs.storage.runs import Launch

    sent_prompt = (
        Prompt(
            text=prompt,
            at=milliseconds(backend.clock.now()),
            by=caller.id,
            follow_up=follow_up,
            model=model,
            source=dict(source or {}),
        )
        if prompt is not None
        else None
    )
    spent.started(agent_run_id)
    try:
        watch = follow(
            org_id=org_id,
            agent_run_id=agent_run_id,
            status=status,
            web_url=web_url,
            created_by=caller.id,
            started_with=None if follow_up else Launch(repo_id=repo_id, model=model, agent_type=agent_type),
            prompt=sent_prompt,
            backend=backend,
        )
        warn_of_budgets(watch, spent.warnings, backend=backend)
    except StorageUnavailable:
        logger.exception("Could not follow a run that was started.", agent_run_id=agent_run_id)
        metrics.add(Metric.RUNS_NOT_FOLLOWED)
        detail = "The run was started, but this deployment has no live log of it."
        return [Warned(code="not_followed", pointer="", detail=detail)]
    return []
