"""The tasks of the state machine, one function per state. Each can be called again with the same input.

The state contains only ids, because a Step Functions payload is limited to 256 KiB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from codegen_runs.backend import Backend
from codegen_runs.multi_runs import (
    candidates,
    judge_prompts,
    judges,
    judging,
    leaving,
    recording,
    second_wave,
    synthesis,
    transitions,
    waves,
)
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.evidence.reading import gathered
from codegen_runs.multi_runs.judging import Candidate, Judgement
from codegen_runs.multi_runs.service import NET_SECONDS, SYNTHESIS_SECONDS, watches_of
from codegen_runs.multi_runs.task_inputs import InvalidInput
from codegen_runs.multi_runs.transitions import Change
from codegen_runs.runs.following import add_token, enqueue
from codegen_runs.storage.multi_runs import AnswerSource, BestCandidate, MultiRun, Ranking, Strategy
from codegen_runs.storage.runs import Launch, Watch

# The priority in the launch queue: before the candidates of other multi-runs.
INTERNAL = candidates.PRIORITY - 1

# What the state machine does next.
LAUNCH, JUDGE, SYNTHESIZE, PUBLISH = "launch", "judge", "synthesize", "publish"

# The branches that an inline Map of Step Functions runs at once.
MOST_BRANCHES = 40

State = dict[str, object]
"""The state of an execution: ids, and timeouts in seconds."""


class MultiRunGone(Exception):  # noqa: N818 - the error name that the execution history shows
    """The multi-run has ended, goes on in another execution or does not exist, so this execution has nothing to do."""


class CandidateDropped(Exception):  # noqa: N818 - the error name that the execution history shows
    """The candidate was dropped, so its state machine does not wait for it."""


def plan(org_id: int, multi_run_id: str, *, execution: str | None = None, backend: Backend) -> State:
    """Mark a multi-run as running and list the candidates to launch."""
    multi_run = _open(org_id, multi_run_id, execution, backend)
    watches = watches_of(multi_run, backend=backend)

    def decide(multi_run: MultiRun) -> Change | None:
        to_launch = waves.first(multi_run, judging.judge(multi_run, watches))
        return transitions.launching(multi_run, to_launch, now=backend.clock.now())

    return _state(_update(multi_run, decide, backend), LAUNCH)


def launch(
    org_id: int, multi_run_id: str, index: int, task_token: str, *, execution: str | None = None, backend: Backend
) -> None:
    """Queue the run of one candidate. The poller answers the task token when the run has ended.

    Raises `CandidateDropped`, which ends the branch of the candidate, and `InvalidInput` if there is no such candidate.
    """
    multi_run = _open(org_id, multi_run_id, execution, backend)
    if index >= len(multi_run.candidates):
        raise InvalidInput(f"{multi_run_id} has no candidate with the index {index}.")
    if str(index) in multi_run.dropped:
        raise CandidateDropped(multi_run.candidate_key(index))
    candidates.queue(multi_run, index, task_token, backend=backend)


def gather(
    org_id: int,
    multi_run_id: str,
    waited_for: str,
    wave: int | None,
    judge_runs: Sequence[int] = (),
    *,
    execution: str | None = None,
    backend: Backend,
) -> State:
    """Decide what follows: further candidates, judges, a synthesis, or the end.

    Args:
        org_id: The organization.
        multi_run_id: The multi-run.
        waited_for: The `next` of the state before: what the state machine has just waited for.
        wave: How often the state machine has launched candidates; None if it began in an earlier version.
        judge_runs: The numbers of the judge runs that it has just waited for.
        execution: The name of the execution.
        backend: The clock and the tables.
    """
    now, multi_run = backend.clock.now(), _open(org_id, multi_run_id, execution, backend)
    watches = watches_of(multi_run, backend=backend)
    told = len(multi_run.waves) if wave is None else wave

    def decide(multi_run: MultiRun) -> Change | None:
        judgement = judging.judge(multi_run, watches)
        if len(multi_run.waves) > told:  # An earlier attempt of this task decided, and its answer was lost.
            return None
        if change := transitions.candidates_ended(multi_run, judgement.candidates, now=now):
            return change
        if multi_run.gathered_at is None and (further := waves.further(multi_run, judgement, now=now)):
            return transitions.launching(multi_run, further, _best(multi_run, judgement, further, backend), now=now)
        return transitions.gathered(multi_run, judgement, waves.unneeded(multi_run, judgement, now=now), now=now)

    multi_run = _update_until_settled(multi_run, decide, backend)
    if len(multi_run.waves) > told:
        return _state(multi_run, LAUNCH)
    judgement, evidence = judging.judge(multi_run, watches), dict[int, Evidence]()
    if judging.shortfall(multi_run, judgement) or len(judgement.usable) < 2 or multi_run.strategy is Strategy.NONE:
        return _state(multi_run, PUBLISH)
    if multi_run.ranking is None:
        multi_run, open_ = _judge(multi_run, judgement, watches, judge_runs, evidence, backend)
        if open_:
            return _state(multi_run, JUDGE, judge_runs=open_)
    if waited_for == SYNTHESIZE:
        multi_run = _check_synthesis(multi_run, judgement, watches, backend)
    if synthesis.needed(multi_run, judgement, has_ended=waited_for == SYNTHESIZE):
        _queue_synthesis(multi_run, judgement, None, evidence, backend)
        return _state(multi_run, SYNTHESIZE)
    return _state(multi_run, PUBLISH)


def ask(
    org_id: int, multi_run_id: str, number: int, task_token: str, *, execution: str | None = None, backend: Backend
) -> None:
    """Queue a judge run. The poller answers the task token when the run has ended.

    Raises `InvalidInput` if there is no such judge run.
    """
    multi_run = _open(org_id, multi_run_id, execution, backend)
    run = next((run for run in multi_run.judge_runs if run.number == number), None)
    if run is None:
        raise InvalidInput(f"{multi_run_id} has no judge run {number}.")
    judgement = judging.judge(multi_run, watches_of(multi_run, backend=backend))
    candidates = [judgement.candidates[index] for index in run.order]
    prompt = judge_prompts.compose(multi_run, candidates, _evidence(candidates, backend))
    _enqueue_internal(multi_run, multi_run.judge_key(number), prompt, task_token, role="judge", backend=backend)


def synthesize(
    org_id: int, multi_run_id: str, task_token: str, *, execution: str | None = None, backend: Backend
) -> None:
    """Wait for the run that combines the usable answers. The poller answers the task token when the run has ended.

    `gather` has queued it. An execution that began in an earlier version queues it here.
    """
    multi_run = _open(org_id, multi_run_id, execution, backend)
    is_queued = multi_run.synthesis_order is not None
    if is_queued and add_token(org_id, multi_run.synthesis_key, task_token, backend=backend):
        return
    judgement = judging.judge(multi_run, watches_of(multi_run, backend=backend))
    _queue_synthesis(multi_run, judgement, task_token, {}, backend)


def _queue_synthesis(
    multi_run: MultiRun,
    judgement: Judgement,
    task_token: str | None,
    known: Mapping[int, Evidence],
    backend: Backend,
) -> None:
    now = backend.clock.now()
    base, order = synthesis.parts(multi_run, judgement)
    multi_run = _update(multi_run, partial(transitions.synthesizing, base=base, order=order, now=now), backend)
    used = [multi_run.base, *(multi_run.synthesis_order or [])] if multi_run.base is not None else []
    unknown = [judgement.candidates[index] for index in used if index is not None and index not in known]
    evidence = {**known, **_evidence(unknown, backend)}
    prompt = synthesis.compose(multi_run, judgement, evidence)
    _enqueue_internal(multi_run, multi_run.synthesis_key, prompt, task_token, role="synthesis", backend=backend)


def publish(
    org_id: int,
    multi_run_id: str,
    error: str | None = None,
    *,
    execution: str | None = None,
    seconds: float = 0.0,
    backend: Backend,
) -> dict[str, str]:
    """Settle a multi-run with its answer, or with the reason why there is none.

    If pull requests are to be closed, that follows. If an earlier attempt of this task died, this one does the rest.

    Args:
        org_id: The organization.
        multi_run_id: The multi-run.
        error: The failure of the state machine, if it failed. It is part of that reason.
        execution: The name of the execution.
        seconds: The seconds that this may take. Without enough of them, no pull request is closed.
        backend: The clock, the tables, and the Codegen client of the deployment.
    """
    until = backend.clock.now() + seconds
    multi_run = backend.multi_runs.get(org_id, multi_run_id)
    if multi_run is None or _is_earlier(execution, multi_run):
        return {"multi_run_id": multi_run_id}
    if multi_run.status.terminal:
        leaving.release(multi_run, backend=backend)  # An earlier attempt of this task may have died before it did.
        if not error:
            _close_losers(multi_run, until, backend)
        return {"multi_run_id": multi_run_id}
    watches = watches_of(multi_run, backend=backend)
    judgement = judging.judge(multi_run, watches)
    reason = judging.shortfall(multi_run, judgement)
    if reason and error:
        reason = f"{error} {reason}"
    now = backend.clock.now()
    answer = None if reason else synthesis.conclude(multi_run, judgement, watches.get(multi_run.synthesis_key))

    def settle(multi_run: MultiRun) -> Change | None:
        if multi_run.status.terminal or _is_earlier(execution, multi_run):
            return None
        if reason:
            return transitions.failed(multi_run, reason, now=now)
        return transitions.completed(multi_run, answer, now=now)

    multi_run, _ = recording.update(multi_run, settle, backend=backend)
    backend.kick(multi_run)
    leaving.release(multi_run, backend=backend)
    if answer and answer.grafts and multi_run.synthesis.graft and not error:
        # Imported here, because only this sends something to the Codegen API.
        from codegen_runs.multi_runs import grafting

        # The run of the base begins its next turn, so the answer is stored before.
        backend.kick(grafting.send(multi_run, answer, judgement, backend=backend))
    if not error:
        _close_losers(multi_run, until, backend)
    return {"multi_run_id": multi_run_id}


def _close_losers(multi_run: MultiRun, until: float, backend: Backend) -> None:
    """Close the pull requests of the candidates that were not selected, if that was requested."""
    if not _closes_losers(multi_run):
        return
    # Imported here, because only this sends something to the Codegen API.
    from codegen_runs.multi_runs import closing

    judgement, left = judging.judge(multi_run, watches_of(multi_run, backend=backend)), until - backend.clock.now()
    backend.kick(closing.close_after_select(multi_run, judgement.candidates, seconds=left, backend=backend))


def _closes_losers(multi_run: MultiRun) -> bool:
    """Return whether the pull requests of the candidates that were not selected are closed. A pick takes precedence."""
    if multi_run.closer is None or multi_run.pick or multi_run.answer is None or multi_run.ranking is None:
        return False
    return multi_run.answer.source is AnswerSource.SELECTED and not multi_run.ranking.none_acceptable


def _state(multi_run: MultiRun, following: str, *, judge_runs: Sequence[int] = ()) -> State:
    to_launch = multi_run.waves[-1] if following == LAUNCH else []
    return {
        "org_id": multi_run.org_id,
        "multi_run_id": multi_run.id,
        "execution": multi_run.execution_name,
        "next": following,
        "candidates": to_launch,
        "many": len(to_launch) > MOST_BRANCHES,
        "wave": len(multi_run.waves),
        "judge_runs": list(judge_runs),
        "candidate_timeout_s": multi_run.candidate_timeout_s + NET_SECONDS,
        "internal_timeout_s": max(multi_run.candidate_timeout_s, SYNTHESIS_SECONDS) + NET_SECONDS,
    }


def _judge(
    multi_run: MultiRun,
    judgement: Judgement,
    watches: Mapping[str, Watch],
    waited_for: Sequence[int],
    evidence: dict[int, Evidence],
    backend: Backend,
) -> tuple[MultiRun, list[int]]:
    """Record the verdicts that have come. Return the multi-run and the judge runs to wait for; none if it is ranked.

    What is read about the candidates is added to `evidence`.
    """
    now = backend.clock.now()
    ended = {
        run.number: judges.read(run, watches.get(multi_run.judge_key(run.number)), len(multi_run.candidates))
        for run in multi_run.judge_runs
        if run.number in waited_for
    }
    multi_run = _update(multi_run, partial(transitions.replied, ended=ended), backend)
    if (standing := multi_run.standing) is None:
        evidence.update(_evidence(judgement.usable, backend))
        standing = judges.standing(judgement.usable, evidence)
    is_code = synthesis.is_code(multi_run, judgement.usable)
    following = judges.following(multi_run, judgement.usable, standing, is_code=is_code)
    if isinstance(following, Ranking):
        judged = partial(transitions.judged, standing=standing, ranking=following, now=now)
        return _update(multi_run, judged, backend), []
    asked = partial(transitions.judging, standing=standing, runs=following, now=now)
    return _update(multi_run, asked, backend), [run.number for run in following]


def _best(multi_run: MultiRun, judgement: Judgement, to_launch: Sequence[int], backend: Backend) -> list[BestCandidate]:
    """Return the candidates from which the second wave starts, if it is to be launched. It is launched once."""
    if not set(to_launch) & set(multi_run.second_wave):
        return []
    return second_wave.best(multi_run, judgement.usable, _evidence(judgement.usable, backend))


def _check_synthesis(
    multi_run: MultiRun, judgement: Judgement, watches: Mapping[str, Watch], backend: Backend
) -> MultiRun:
    """Record that the output of the synthesis is not acceptable, if so."""
    if multi_run.synthesis_order is None:
        return multi_run  # It has been rejected, and the next one has not begun.
    reason = synthesis.fault(multi_run, judgement, watches.get(multi_run.synthesis_key))
    if reason is None:
        return multi_run
    rejected = partial(
        transitions.synthesis_rejected,
        number=multi_run.syntheses,
        reason=reason,
        is_last=len(multi_run.rejections) + 1 >= synthesis.MOST_TRIES,
        now=backend.clock.now(),
    )
    return _update(multi_run, rejected, backend)


def _evidence(candidates: Sequence[Candidate], backend: Backend) -> dict[int, Evidence]:
    """Read the facts about candidates from the event logs of their runs, by index."""
    watches = {each.index: each.watch for each in candidates if each.watch}
    found = gathered(list(watches.values()), backend=backend)
    return {index: found[watch.key] for index, watch in watches.items()}


def _enqueue_internal(
    multi_run: MultiRun, key: str, prompt: str, task_token: str | None, *, role: str, backend: Backend
) -> None:
    now = backend.clock.now()
    enqueue(
        org_id=multi_run.org_id,
        key=key,
        prompt=prompt,
        launch=Launch(
            repo_id=multi_run.repo_id,
            model=multi_run.synthesis.model,
            metadata=multi_run.metadata | {"multi_run_id": multi_run.id, "role": role},
        ),
        task_token=task_token,
        multi_run_id=multi_run.id,
        priority=INTERNAL,
        deadline=max(multi_run.deadline_at / 1000, now + SYNTHESIS_SECONDS),
        paused=multi_run.paused_at is not None,
        created_by=multi_run.created_by,
        request_id=multi_run.request_id,
        backend=backend,
    )
    candidates.catch_up(multi_run, key, backend=backend)


def _open(org_id: int, multi_run_id: str, execution: str | None, backend: Backend) -> MultiRun:
    multi_run = backend.multi_runs.get(org_id, multi_run_id)
    if multi_run is None or multi_run.status.terminal or _is_earlier(execution, multi_run):
        raise MultiRunGone(multi_run_id)
    return multi_run


def _is_earlier(execution: str | None, multi_run: MultiRun) -> bool:
    """Return whether an execution is not the last one of its multi-run, such as one that is redriven after a retry."""
    return execution is not None and execution != multi_run.execution_name


def _update(multi_run: MultiRun, decide: Callable[[MultiRun], Change | None], backend: Backend) -> MultiRun:
    """Store a change of an open multi-run, and have its events pushed. Raises `MultiRunGone` if it has ended."""

    def checked(multi_run: MultiRun) -> Change | None:
        if multi_run.status.terminal:
            raise MultiRunGone(multi_run.id)
        return decide(multi_run)

    multi_run, is_changed = recording.update(multi_run, checked, backend=backend)
    if is_changed:
        backend.kick(multi_run)
    return multi_run


def _update_until_settled(
    multi_run: MultiRun, decide: Callable[[MultiRun], Change | None], backend: Backend
) -> MultiRun:
    """Store one change after the other until nothing is left to change."""
    rev = -1
    while multi_run.rev != rev:
        rev = multi_run.rev
        multi_run = _update(multi_run, decide, backend)
    return multi_run
