"""The record of a new multi-run, from its request."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from codegen_runs import correlation
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.budgets.counting import Need
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.clock import milliseconds
from codegen_runs.multi_runs import costs, forking, synthesis, variants
from codegen_runs.multi_runs.parameters import DEFAULT_JUDGES, CreateMultiRun, VariantOptions
from codegen_runs.problems import Conflict
from codegen_runs.storage.multi_runs import Adaptive, Closer, MultiRun, Variant


class Draft(NamedTuple):
    """A new multi-run that is not stored, and the warnings about its request."""

    multi_run: MultiRun
    warnings: list[Warned]


class ApiTokenRequired(Conflict):
    """The request is carried out later as its caller, whose Codegen token is not kept."""

    code = "api_token_required"
    remedy = (
        "Send the request with an API token of this deployment, or leave close_losers out and pick the selected "
        "candidate with close_losers when the multi-run has ended."
    )


def draft(request: CreateMultiRun, *, org_id: int, caller: Caller, backend: Backend) -> Draft:
    """Return the record of a new multi-run. Nothing is stored.

    Raises `AgentNotFound`, `ApiTokenRequired`, `CheckpointNotFound`, `RunNotStarted`, `StorageUnavailable`.
    """
    closer = _closer(request, caller)
    now = backend.clock.now()
    *complete, defaults = variants.complete(
        [*request.all_variants, VariantOptions()], request, org_id=org_id, backend=backend
    )
    warnings, from_checkpoint = request.ignored(), None
    if request.from_checkpoint:
        start = forking.start(request.from_checkpoint, org_id=org_id, backend=backend)
        from_checkpoint = start.record
        warnings += start.warnings
        *complete, defaults = (start.inherited_by(each) for each in (*complete, defaults))
    multi_run = MultiRun(
        org_id=org_id,
        id=_new_id(now),
        prompt=request.prompt,
        candidates=[*variants.dealt(complete, request.copies), *variants.second_wave(complete, request.second_wave)],
        defaults=defaults,
        from_checkpoint=from_checkpoint,
        repo_id=request.repo_id if request.repo_id is not None else _common_repo(complete),
        metadata=request.metadata or {},
        strategy=request.strategy,
        judge=request.judge,
        judges=request.judges or DEFAULT_JUDGES[request.strategy],
        quorum=request.quorum,
        first_k=request.first_k,
        adaptive=Adaptive(start=request.adaptive.start, agree=request.adaptive.agree) if request.adaptive else None,
        synthesis=request.synthesis.model_copy(update={"model": request.synthesis.model or request.model}),
        instructions=synthesis.instructions(request.synthesis),
        candidate_timeout_s=min(request.candidate_timeout_s or request.deadline_s, request.deadline_s),
        deadline_at=milliseconds(now + request.deadline_s),
        on_deadline=request.on_deadline,
        closer=closer,
        created_by=caller.id,
        request_id=correlation.request_id(),
        created_at=milliseconds(now),
    )
    return Draft(multi_run, warnings)


def need(multi_run: MultiRun, until: int) -> Need:
    """Return what a multi-run needs of the budgets: all runs that it may start, until it has ended in any case."""
    second_wave = len(multi_run.second_wave)  # It is launched when the others have ended.
    return Need(
        caller=multi_run.created_by,
        key=multi_run.id,
        runs=costs.of(multi_run).runs.at_most,
        concurrent=max(len(multi_run.candidates) - second_wave, second_wave),
        candidates=len(multi_run.candidates),
        until=until,
        ahead=True,
    )


def _closer(request: CreateMultiRun, caller: Caller) -> Closer | None:
    if not request.close_losers:
        return None
    if caller.kind != DEPLOYMENT:
        raise ApiTokenRequired(
            "The pull requests are closed as you when a candidate is selected. Your Codegen token is not kept for that."
        )
    return Closer(user_id=caller.user_id, token_id=caller.token_id)


def _common_repo(candidates: Sequence[Variant]) -> int | None:
    """Return the repository of all candidates; None if they have different ones."""
    repos = {candidate.repo_id for candidate in candidates}
    return repos.pop() if len(repos) == 1 else None


def _new_id(now: float) -> str:
    """Return an id that sorts after the ids of all earlier multi-runs."""
    return f"mr-{milliseconds(now):012x}-{secrets.token_hex(5)}"
