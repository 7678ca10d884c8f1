"""A person picks a candidate, whose answer then is the answer of the multi-run, or undoes a pick.

A pick never overwrites another one unseen: to replace it, the request names the candidate that is picked. Of two
requests at once, the second finds the pick of the first, because every write requires the revision that was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from codegen_runs.backend import Backend
from codegen_runs.bodies import Body
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.multi_runs import recording, transitions
from codegen_runs.multi_runs.closing import ClosedPullRequest, close_losers
from codegen_runs.multi_runs.judging import Candidate, judge, numbered
from codegen_runs.multi_runs.service import find, watches_of
from codegen_runs.multi_runs.snapshots import MultiRunSnapshot, snapshot
from codegen_runs.multi_runs.transitions import Change
from codegen_runs.problems import Conflict, Unprocessable
from codegen_runs.redaction import redact
from codegen_runs.run_control.requests import MAX_REASON_CHARACTERS
from codegen_runs.storage.multi_runs import Answer, AnswerSource, MultiRun, Pick

# The most bytes of a record with a pick. DynamoDB stores at most 400 KB in an item.
_MAX_RECORD_BYTES = 350_000


class PickCandidate(Body):
    """The candidate that a person prefers."""

    candidate: int = Field(ge=0, description="The index of the candidate.")
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_REASON_CHARACTERS)] | None = None
    replaces: int | None = Field(
        None, description="The candidate that is picked, to replace its pick. Without it, another pick is refused."
    )
    # Strict, because it gives consent: `"yes"` and `1` do not.
    close_losers: StrictBool = Field(
        False, description="Whether to close the pull requests of the other candidates at Codegen."
    )


class PickedMultiRun(MultiRunSnapshot):
    """A multi-run after a pick, and the outcome for each pull request that it was to close."""

    losers: list[ClosedPullRequest] = Field(description="Empty without `close_losers`.")


class NothingToPick(Conflict):
    """The candidate has nothing that can be picked."""

    code = "nothing_to_pick"
    remedy = "Wait until the run of the candidate has ended, or pick another candidate."


class AnotherIsPicked(Conflict):
    """Another candidate is picked."""

    code = "another_is_picked"

    def __init__(self, pick: Pick) -> None:
        why = f": {pick.reason}" if pick.reason else "."
        super().__init__(
            f"Candidate {numbered(pick.candidate)} was picked by {pick.picked_by}{why}",
            remedy=f'Leave that pick, or send {{"replaces": {pick.candidate}}} to replace it.',
            picked=pick.candidate,
        )


def pick(
    org_id: int, multi_run_id: str, request: PickCandidate, *, caller: Caller, seconds: float, backend: Backend
) -> PickedMultiRun:
    """Make a candidate's answer the answer of a multi-run, whatever its status is.

    A repeated pick changes nothing, but closes the pull requests that are still to close. This ends before `seconds`
    have passed. Raises `MultiRunNotFound`, `Unprocessable`, `NothingToPick`, `AnotherIsPicked`, `StorageUnavailable`.
    """
    now = backend.clock.now()
    multi_run = find(org_id, multi_run_id, backend=backend)
    watches = watches_of(multi_run, backend=backend)
    candidates = judge(multi_run, watches).candidates
    chosen = _candidate(candidates, request.candidate)

    def decide(multi_run: MultiRun) -> Change | None:
        before = multi_run.pick
        if before and before.candidate not in (chosen.index, request.replaces):
            raise AnotherIsPicked(before)
        picked = Pick(
            candidate=chosen.index,
            agent_run_id=chosen.watch.agent_run_id if chosen.watch else None,
            picked_by=caller.id,
            picked_at=milliseconds(now),
            reason=redact(request.reason) or None,
            answer=_answer(multi_run, chosen),
        )
        return transitions.picked(multi_run, picked, now=now)

    multi_run, is_changed = recording.update(multi_run, decide, backend=backend)
    losers: list[ClosedPullRequest] = []
    if request.close_losers:
        until = now + seconds
        multi_run, losers = close_losers(multi_run, candidates, caller=caller, until=until, backend=backend)
    if is_changed or losers:
        backend.kick(multi_run)
    shown = snapshot(multi_run, watches, now=backend.clock.now())
    return PickedMultiRun(**shown.model_dump() | {"warnings": request.ignored()}, losers=losers)


def unpick(
    org_id: int, multi_run_id: str, *, candidate: int | None, caller: Caller, backend: Backend
) -> MultiRunSnapshot:
    """Undo the pick of a multi-run, so that its answer is the one that it found. Without a pick, nothing changes.

    If a candidate is given, only its pick is undone. Raises `MultiRunNotFound`, `AnotherIsPicked`,
    `StorageUnavailable`.
    """
    multi_run = find(org_id, multi_run_id, backend=backend)

    def decide(multi_run: MultiRun) -> Change | None:
        if multi_run.pick and candidate not in (None, multi_run.pick.candidate):
            raise AnotherIsPicked(multi_run.pick)
        return transitions.unpicked(multi_run, by=caller.id, now=backend.clock.now())

    multi_run, is_changed = recording.update(multi_run, decide, backend=backend)
    if is_changed:
        backend.kick(multi_run)
    return snapshot(multi_run, watches_of(multi_run, backend=backend), now=backend.clock.now())


def _candidate(candidates: Sequence[Candidate], index: int) -> Candidate:
    """Return the candidate to pick. It need not be usable: a person may know better."""
    if index >= len(candidates):
        message = f"Input should be less than {len(candidates)}, the number of candidates"
        raise Unprocessable(errors=[{"loc": ["body", "candidate"], "msg": message, "type": "less_than"}])
    if refusal := candidates[index].unpickable:
        raise NothingToPick(refusal)
    return candidates[index]


def _answer(multi_run: MultiRun, candidate: Candidate) -> Answer:
    """Return a candidate's answer, cut if the record would become too large with it."""
    room = max(0, _MAX_RECORD_BYTES - len(multi_run.model_copy(update={"pick": None}).model_dump_json().encode()))
    text = candidate.result.encode("utf-8", "replace")
    is_cut = len(text) > room or bool(candidate.watch and candidate.watch.result_truncated)
    return Answer(
        text=text[:room].decode("utf-8", "ignore"),
        source=AnswerSource.PICKED,
        candidate=candidate.index,
        truncated=is_cut,
    )
