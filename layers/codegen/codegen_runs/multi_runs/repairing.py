"""Repair a multi-run that has ended: run failed candidates again, or combine the answers again.

Nothing that succeeded runs again. The multi-run goes on in a further execution of its state machine, which decides from
the record what is still to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from pydantic import Field

from codegen_runs.backend import Backend
from codegen_runs.bodies import Body
from codegen_runs.budgets import spending
from codegen_runs.budgets.counting import Need
from codegen_runs.budgets.spending import Spent
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.limits import backlogs
from codegen_runs.multi_runs import costs, executions, judges, leaving, recording, synthesis, transitions
from codegen_runs.multi_runs.judging import Candidate, judge, numbered
from codegen_runs.multi_runs.parameters import DEFAULT_JUDGES
from codegen_runs.multi_runs.service import NET_SECONDS, SYNTHESIS_SECONDS, find, watches_of
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot, snapshot
from codegen_runs.multi_runs.transitions import Change
from codegen_runs.problems import Conflict, StorageUnavailable, Unprocessable
from codegen_runs.secret_forms import MASK
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus, Prompt, Strategy, SynthesisOptions
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.table import TRANSACTION_ACTIONS, ConditionFailed

Indexes = list[int]


class RetryCandidates(Body):
    """The candidates that run again."""

    candidates: Indexes | None = Field(
        None, min_length=1, description="The indexes of candidates without a usable answer. Default: all of them."
    )


class Resynthesize(Body):
    """How to combine the answers again. What is left out stays as it was."""

    candidates: Indexes | None = Field(
        None, min_length=1, description="The indexes of the candidates to use. Default: all usable ones."
    )
    strategy: Strategy | None = None
    prompt: Prompt | None = Field(None, description="Instructions for the synthesis.")
    model: str | None = Field(None, description="The model of the judges and of the synthesis run.")
    top_k: int | None = Field(None, ge=2, description="Join the best so many answers only.")


class MultiRunOpen(Conflict):
    """The multi-run has not ended."""

    code = "multi_run_open"
    remedy = "Wait until it has ended."


class MultiRunCancelled(Conflict):
    """The multi-run was cancelled."""

    code = "multi_run_cancelled"
    remedy = "Start another multi-run, or pick one of the candidates."


class NothingToRetry(Conflict):
    """The candidates have usable answers."""

    code = "nothing_to_retry"


class TooManyToRetry(Conflict):
    """The retry has more candidates than one write can record."""

    code = "too_many_to_retry"
    remedy = f"Name fewer of them in `candidates`, at most {transitions.MOST_RETRIED}, and the others in a later retry."


class PromptMasked(Conflict):
    """The prompt is no longer stored as it was."""

    code = "prompt_masked"
    remedy = "Start another multi-run with the prompt."


class TooFewToCombine(Conflict):
    """There are too few usable answers."""

    code = "too_few_usable"
    remedy = "Retry the failed candidates, or name those to use in `candidates`."


def retry(
    org_id: int, multi_run_id: str, request: RetryCandidates, *, caller: Caller, backend: Backend
) -> MultiRunSnapshot:
    """Run candidates without a usable answer again. Their earlier runs are kept, and all others stay as they are.

    A candidate whose run has not ended is not started again: the multi-run waits for it. If the multi-run is at work
    and all candidates run already, nothing changes. Raises `MultiRunNotFound`, `MultiRunOpen`,
    `MultiRunCancelled`, `NothingToRetry`, `TooManyToRetry`, `PromptMasked`, `Unprocessable`, `TooManyQueuedRuns`,
    `StorageUnavailable`.
    """

    def decide(multi_run: MultiRun, candidates: Sequence[Candidate]) -> Change | None:
        failed = [each.index for each in candidates if each.dropped is None and (each.fault or not each.finished)]
        wanted = _existing(request.candidates, multi_run)
        wanted = failed if wanted is None else wanted
        if not multi_run.status.terminal and not any(candidates[index].finished for index in wanted):
            return None  # They run again already.
        _check_ended(multi_run)
        if not wanted or not set(wanted) <= set(failed):
            names = numbered(*(index for index in wanted if index not in failed))
            raise NothingToRetry(
                f"Candidates that have a usable answer or were dropped: {names}."
                if names
                else "No candidate has failed."
            )
        if len(wanted) > transitions.MOST_RETRIED:
            raise TooManyToRetry(f"{len(wanted)} candidates cannot run again at once.")
        prompts = [multi_run.candidates[index].prompt or multi_run.prompt for index in wanted]
        if any(MASK in prompt for prompt in prompts):
            raise PromptMasked("The prompt contained a secret. Secrets are masked when a multi-run has ended.")
        attempts = {index: multi_run.attempt(index) + (not candidates[index].under_way) for index in wanted}
        return transitions.candidates_retried(
            multi_run, attempts, by=caller.id, now=backend.clock.now(), **_combined_anew(multi_run)
        )

    return _reopen(org_id, multi_run_id, decide, caller=caller, backend=backend)


def resynthesize(
    org_id: int, multi_run_id: str, request: Resynthesize, *, caller: Caller, backend: Backend
) -> MultiRunSnapshot:
    """Combine the answers of candidates again. No candidate runs again.

    A ranking of the same candidates is kept if answers are joined. Candidates that the request names are enough, even
    if they are fewer than the quorum. Raises `MultiRunNotFound`, `MultiRunOpen`, `MultiRunCancelled`,
    `TooFewToCombine`, `TooManyToRetry`, `Unprocessable`, `TooManyQueuedRuns`, `StorageUnavailable`.
    """

    def decide(multi_run: MultiRun, candidates: Sequence[Candidate]) -> Change:
        wanted = _existing(request.candidates, multi_run)
        _check_ended(multi_run)
        usable = [each.index for each in candidates if each.finished and each.fault is None]
        if wanted is None and len(usable) < multi_run.quorum:
            raise TooFewToCombine(f"Usable candidates: {len(usable)}, required: {multi_run.quorum}.")
        chosen = usable if wanted is None else wanted
        if not set(chosen) <= set(usable):
            names = numbered(*(index for index in chosen if index not in usable))
            raise TooFewToCombine(f"Candidates without a usable answer: {names}.")
        changed = _requested(multi_run, request)
        keeps_ranking = (
            changed["strategy"] is Strategy.SYNTHESIZE
            and multi_run.ranking is not None
            and sorted(multi_run.ranking.order) == sorted(chosen)
        )
        again = synthesis.restarted(multi_run) if keeps_ranking else _combined_anew(multi_run)
        return transitions.resynthesizing(
            multi_run, sorted(chosen), by=caller.id, now=backend.clock.now(), **changed, **again
        )

    return _reopen(org_id, multi_run_id, decide, caller=caller, backend=backend)


def _reopen(
    org_id: int,
    multi_run_id: str,
    decide: Callable[[MultiRun, Sequence[Candidate]], Change | None],
    *,
    caller: Caller,
    backend: Backend,
) -> MultiRunSnapshot:
    """Store a change that has a multi-run go on, and start its next execution.

    If the multi-run, or a run that it waits for, is written in the meantime, decide again.
    """
    is_changed = False
    while not is_changed:
        multi_run = find(org_id, multi_run_id, backend=backend)
        if multi_run.status.terminal:
            # The function that ended it may still be at work, or may have died. A queued run is cancelled before the
            # decision, so nothing goes on that waits for a run which is about to be cancelled.
            leaving.release(multi_run, backend=backend)
        watches = watches_of(multi_run, backend=backend)
        change = decide(multi_run, judge(multi_run, watches).candidates)
        if change is None:
            break
        with ExitStack() as on_error:
            changed = multi_run.model_copy(update=dict(change.fields))
            on_error.callback(_reserve(changed, caller=caller, backend=backend).give_back)
            touches = backend.runs.touch_actions(_at_launch(changed, watches))
            if len(change.events) + len(touches) >= TRANSACTION_ACTIONS:
                raise TooManyToRetry(f"Codegen is about to receive {len(touches)} of its runs.")
            try:
                multi_run = recording.store(multi_run, change, also=touches, backend=backend)
            except ConditionFailed:
                continue
            is_changed = True
            on_error.pop_all()
    if is_changed:
        try:
            executions.start(multi_run)
        except StorageUnavailable:
            reason, now = "The multi-run could not go on.", backend.clock.now()
            multi_run, _ = recording.update(
                multi_run, lambda current: transitions.failed(current, reason, now=now), backend=backend
            )
            leaving.release(multi_run, backend=backend)
            raise
        backend.kick(multi_run)
    watches = watches_of(multi_run, backend=backend)
    return snapshot(multi_run, watches, now=backend.clock.now())


def _at_launch(multi_run: MultiRun, watches: Mapping[str, Watch]) -> list[Watch]:
    """Return the runs of candidates that Codegen may be about to receive. If it refuses one, that is queued again."""
    found = [watches[key] for key in multi_run.candidate_keys if key in watches]
    return [watch for watch in found if watch.agent_run_id is None and not watch.status.terminal]


def _reserve(multi_run: MultiRun, *, caller: Caller, backend: Backend) -> Spent:
    """Count the runs that are to come as queued, and take them from the budgets. Those with watches count already.

    Raises `BudgetExhausted`, `TooManyQueuedRuns`, and nothing is counted, or `StorageUnavailable`.
    """
    watches = backend.runs.get_many(multi_run.org_id, multi_run.every_key)
    keys = [key for key in costs.keys(multi_run) if key not in watches]
    now = milliseconds(backend.clock.now())
    until = max(multi_run.deadline_at, now) + milliseconds(SYNTHESIS_SECONDS + NET_SECONDS)
    running = sum(key in keys for key in multi_run.candidate_keys)
    need = Need(
        caller=caller.id,
        key=multi_run.id,
        runs=costs.further(multi_run, watches),
        concurrent=running,
        until=until,
        ahead=True,
        execution=multi_run.execution,
        existing=tuple(sorted(watches)),
    )
    spent = spending.take(need, org_id=multi_run.org_id, backend=backend)
    with ExitStack() as on_error:
        on_error.callback(spent.give_back)
        backlogs.reserve(
            multi_run.id,
            keys,
            execution=multi_run.execution,
            org_id=multi_run.org_id,
            caller=caller,
            until=until,
            backend=backend,
        )
        on_error.pop_all()
    return spent


def _check_ended(multi_run: MultiRun) -> None:
    if not multi_run.status.terminal:
        raise MultiRunOpen(f"The multi-run is {multi_run.status}.")
    if multi_run.status is MultiRunStatus.CANCELLED:
        raise MultiRunCancelled("The multi-run was cancelled, so nothing of it runs again.")


def _existing(indexes: Indexes | None, multi_run: MultiRun) -> Indexes | None:
    """Return the indexes of a request, each once."""
    most = len(multi_run.candidates) - 1
    for place, index in enumerate(indexes or ()):
        if not 0 <= index <= most:
            message = f"Input should be an index of a candidate, from 0 to {most}"
            raise Unprocessable(
                errors=[{"loc": ["body", "candidates", place], "msg": message, "type": "no_such_candidate"}]
            )
    return None if indexes is None else sorted(set(indexes))


def _combined_anew(multi_run: MultiRun) -> Mapping[str, Any]:
    return {**judges.restarted(multi_run), **synthesis.restarted(multi_run)}


def _requested(multi_run: MultiRun, request: Resynthesize) -> dict[str, Any]:
    """Return the fields of the record that a request changes."""
    given = request.model_dump(include={"prompt", "model", "top_k"}, exclude_none=True)
    options: SynthesisOptions = multi_run.synthesis.model_copy(update=given)
    changed: dict[str, Any] = {"strategy": request.strategy or multi_run.strategy, "synthesis": options}
    if request.prompt:
        changed["instructions"] = synthesis.instructions(options)
    if request.strategy and request.strategy is not multi_run.strategy:
        changed["judges"] = DEFAULT_JUDGES[request.strategy]
    return changed
