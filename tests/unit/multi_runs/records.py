"""Multi-runs and watches with default values for all that a test does not set."""

from typing import Any

from codegen_runs.multi_runs import waves
from codegen_runs.multi_runs.judging import Judgement, judge
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, Strategy, SynthesisOptions, Variant
from codegen_runs.storage.runs import Watch


def multi_run(**changes: Any) -> MultiRun:
    """Return a multi-run of three candidates."""
    defaults: dict[str, Any] = {
        "org_id": 123,
        "id": "mr-1",
        "prompt": "Fix the race in the cache.",
        "candidates": [Variant(), Variant(), Variant()],
        "strategy": Strategy.SYNTHESIZE,
        "quorum": 1,
        "synthesis": SynthesisOptions(),
        "candidate_timeout_s": 3600,
        "deadline_at": 3_600_000,
        "created_by": "user:1",
        "created_at": 0,
    }
    return MultiRun(**defaults | changes)


def watch_of(key: str, status: Status, result: str | None = None, **changes: Any) -> Watch:
    """Return a watch; after its launch, it has a run upstream."""
    defaults: dict[str, Any] = {
        "org_id": 123,
        "key": key,
        "agent_run_id": None if status in (Status.QUEUED, Status.LAUNCHING) else 7,
        "status": status,
        "upstream_status": str(status).upper(),
        "result": result,
        "created_at": 0,
        "updated_at": 0,
        "deadline_at": 3_600_000,
    }
    return Watch(**defaults | changes)


def judged(found: MultiRun, *answers: str | None) -> Judgement:
    """Return the judgement of a multi-run whose first candidates have ended with these answers."""
    ends = [
        watch_of(found.candidate_key(index), Status.FAILED if text is None else Status.COMPLETED, text)
        for index, text in enumerate(answers)
    ]
    return judge(found, {watch.key: watch for watch in ends})


def further(found: MultiRun, *answers: str | None, now: float = 1_000.0) -> list[int]:
    """Return which candidates are launched once the first ones have ended with these answers."""
    launched = found.model_copy(update={"launched": list(range(len(answers)))})
    return waves.further(launched, judged(launched, *answers), now=now)
