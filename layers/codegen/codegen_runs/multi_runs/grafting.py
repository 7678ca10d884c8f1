"""Sending a base what it should take over, as a follow-up to its run. It is sent at most once.

That it is about to be sent is stored first. If the task dies in between, the outcome stays unknown and nothing is sent
again, because the Codegen API recognises no repeated prompt.
"""

from __future__ import annotations

from functools import partial

from codegen_api import CodegenAPIError
from codegen_runs.backend import Backend
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.multi_runs import recording, transitions
from codegen_runs.multi_runs.grafts import follow_up
from codegen_runs.multi_runs.judging import Judgement
from codegen_runs.problems import Problem
from codegen_runs.runs.requests import FollowUp
from codegen_runs.runs.starting import resume
from codegen_runs.storage.multi_runs import Answer, GraftOutcome, MultiRun


def send(multi_run: MultiRun, answer: Answer, judgement: Judgement, *, backend: Backend) -> MultiRun:
    """Send the grafts of an answer to the run of its base, as the deployment; return the multi-run as stored.

    A failure is part of the record and of the event log, and ends nothing. Raises `StorageUnavailable`.
    """
    prompt = follow_up(answer.grafts, {each.index: each.watch for each in judgement.candidates})
    base = judgement.candidates[answer.candidate].watch if answer.candidate is not None else None
    if prompt is None or base is None or base.agent_run_id is None or multi_run.graft is not None:
        return multi_run
    multi_run = _record(multi_run, GraftOutcome.UNKNOWN, None, backend)
    caller = Caller(multi_run.created_by, 0, frozenset({multi_run.org_id}), kind=DEPLOYMENT)
    request = FollowUp(prompt=prompt)
    try:
        resume(str(base.agent_run_id), request, org_id=multi_run.org_id, caller=caller, backend=backend)
    except (CodegenAPIError, Problem) as error:
        outcome = GraftOutcome.UNKNOWN if getattr(error, "effect_unknown", False) else GraftOutcome.NOT_SENT
        return _record(multi_run, outcome, str(error), backend)
    return _record(multi_run, GraftOutcome.SENT, None, backend)


def _record(multi_run: MultiRun, outcome: GraftOutcome, problem: str | None, backend: Backend) -> MultiRun:
    now = backend.clock.now()
    grafted = partial(transitions.grafted, outcome=outcome, problem=problem, now=now)
    return recording.update(multi_run, grafted, backend=backend)[0]
