"""Close the pull requests of the candidates that were not picked, one by one, as the caller.

A pull request is closed only if it is the candidate's own and Codegen shows no other run at work on it. The Codegen API
does not report commits, so what people push with git cannot be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, Field

from codegen_api import AgentRun, CodegenAPIError, PullRequest
from codegen_runs.access.authentication import TokenRefused
from codegen_runs.access.standing import Standing
from codegen_runs.audit import recording as recording_acts
from codegen_runs.audit.acts import Act
from codegen_runs.audit.recording import AuditUnavailable
from codegen_runs.backend import Backend
from codegen_runs.callers import DEPLOYMENT, Caller
from codegen_runs.limits.permits import PATIENCE, NoPermit, permit
from codegen_runs.multi_runs import recording, transitions
from codegen_runs.multi_runs.judging import Candidate
from codegen_runs.multi_runs.snapshots import opened_by
from codegen_runs.problems import CredentialsRefused, Unauthorized
from codegen_runs.roles import Role
from codegen_runs.storage.multi_runs import Answer, MultiRun, Pick
from codegen_runs.storage.runs import OpenedPullRequest, Watch

PAGE = 100

# The most pages of Codegen's list of runs in which other runs at work on a pull request are looked for.
MOST_PAGES = 10

CLOSE_LOSERS = Act("multi_run.close_losers", "multi_run_id", details=("candidate",))
"""What the audit trail records of the closing after a selection. A pick is an act of its own."""

# The least seconds in which one more pull request is closed: the wait for a permit, and the call.
SECONDS_PER_CALL = PATIENCE + 4.0


class Outcome(StrEnum):
    """What happened to a pull request that was to be closed."""

    CLOSED = "closed"
    REFUSED = "refused"
    """This deployment does not close it: it may hold the work of others."""
    FAILED = "failed"
    """Codegen did not close it."""
    NOT_TRIED = "not_tried"


class ClosedPullRequest(BaseModel):
    """A pull request of a candidate that was not picked, and whether it was closed."""

    candidate: int
    pull_request: OpenedPullRequest
    outcome: Outcome
    detail: str = Field(description="Why it was not closed, or when it was.")


class _Loser(NamedTuple):
    candidate: int
    watch: Watch
    pull_request: OpenedPullRequest


@dataclass(frozen=True)
class _Seen:
    """The runs of an organization since a multi-run was created, as Codegen lists them."""

    runs: dict[int, AgentRun]
    gap: str | None = None
    """Why runs may be missing; None if none is."""

    def refusal(self, loser: _Loser) -> str | None:
        """Return why a pull request is not closed; None if it is the candidate's own and nobody else's."""
        if not loser.watch.status.terminal:
            return "The candidate is still at work."
        if self.gap:
            return f"It cannot be checked whether other runs work on it. {self.gap}"
        run = self.runs.get(loser.watch.agent_run_id or 0)
        opened = next((each for each in _pull_requests(run) if each.id == loser.pull_request.id), None)
        if run is None or opened is None:
            return "Codegen does not list it with the candidate's run, so it cannot be checked."
        if run.created_at is None or opened.created_at is None or opened.created_at < run.created_at:
            return "It was not opened by the candidate's run, but before, or Codegen does not report when."
        if others := [each for each in self.runs.values() if each.id != run.id and _works_on(each, opened.id)]:
            names = ", ".join(f"{each.id} ({each.source_type or 'unknown source'})" for each in others[:3])
            return f"Other runs work on it too, so it may have their commits: {names}."
        if (opened.model_extra or {}).get("merged") is True:
            return "It is merged."
        return None


def close_losers(
    multi_run: MultiRun,
    candidates: Sequence[Candidate],
    *,
    caller: Caller,
    until: float,
    backend: Backend,
    once: bool = False,
) -> tuple[MultiRun, list[ClosedPullRequest]]:
    """Close the pull requests of all candidates but the picked or selected one, as far as there is time.

    What is tried becomes an event of the multi-run. When the choice changes meanwhile, no further pull request is
    closed. If this dies between two of them, it can be called again: one that Codegen has closed already is closed.

    Args:
        multi_run: The multi-run, with its pick or its answer.
        candidates: Its candidates.
        caller: The caller, as whom the pull requests are closed.
        until: The time at which the request must be answered, in epoch seconds.
        backend: The clock, the tables and the Codegen client of the caller.
        once: Whether to leave out those whose outcome an earlier call recorded.

    Returns:
        The multi-run as stored, and the outcome for each pull request.

    Raises `StorageUnavailable`.
    """
    chosen, outcomes = _choice(multi_run), []
    seen: _Seen | None = None
    for loser in _losers(multi_run, candidates, once=once):
        if loser.pull_request.id in multi_run.closed_pull_requests:
            outcomes.append(_outcome(loser, Outcome.CLOSED, "It was closed before."))
            continue
        seen = seen or _runs_since(multi_run, caller, backend)
        multi_run = backend.multi_runs.get(multi_run.org_id, multi_run.id) or multi_run
        if _choice(multi_run) != chosen:
            outcomes.append(_outcome(loser, Outcome.NOT_TRIED, "The choice has changed in the meantime."))
        elif backend.clock.now() > until - SECONDS_PER_CALL:
            outcomes.append(_outcome(loser, Outcome.NOT_TRIED, "No time was left. A pick with close_losers closes it."))
        else:
            refusal = seen.refusal(loser)
            tried = (Outcome.REFUSED, refusal) if refusal else _close(loser, multi_run.org_id, caller, backend)
            outcomes.append(_outcome(loser, *tried))
            multi_run = _record(multi_run, outcomes[-1], caller, backend)
    return multi_run, outcomes


def close_after_select(
    multi_run: MultiRun, candidates: Sequence[Candidate], *, seconds: float, backend: Backend
) -> MultiRun:
    """Close the pull requests of all candidates but the selected one, as the caller who requested it at the start.

    Every outcome becomes an event, and the audit trail has the act. If this is called again, it goes on with those
    whose outcome is not recorded. If the API token of the caller has ended meanwhile, or the caller may not start runs
    any more, nothing is closed. This ends before `seconds` have passed. Raises `StorageUnavailable`.
    """
    until, closer = backend.clock.now() + seconds, multi_run.closer
    if closer is None or not any(_losers(multi_run, candidates, once=True)):
        return multi_run
    caller = Caller(multi_run.created_by, closer.user_id, frozenset({multi_run.org_id}), kind=DEPLOYMENT)
    try:
        caller = Standing(backend).maker(closer.user_id, closer.token_id, SECONDS_PER_CALL)
        role = caller.roles.get(multi_run.org_id)
        refusal = None if role and role.includes(Role.MEMBER) else "The caller has no role that may close it."
    except (TokenRefused, Unauthorized):
        refusal = "The API token with which this was requested has expired or was revoked."
    except (CodegenAPIError, CredentialsRefused) as error:
        refusal = f"It cannot be checked whether the caller may close it: {error.summary}"
    try:
        if not refusal:
            multi_run, outcomes = _audited(multi_run, candidates, caller=caller, until=until, backend=backend)
    except AuditUnavailable:
        refusal = "The audit trail does not respond, so nothing was closed."
    if refusal:
        losers = _losers(multi_run, candidates, once=True)
        outcomes = [_outcome(each, Outcome.NOT_TRIED, refusal) for each in losers]
    for outcome in outcomes:
        if outcome.outcome is Outcome.NOT_TRIED:
            multi_run = _record(multi_run, outcome, caller, backend)
    return multi_run


def _audited(
    multi_run: MultiRun, candidates: Sequence[Candidate], *, caller: Caller, until: float, backend: Backend
) -> tuple[MultiRun, list[ClosedPullRequest]]:
    """Close the pull requests of the candidates that lose, and record it in the audit trail. Raises `AuditUnavailable`.

    If this dies or the storage fails in between, the trail has the attempt, as for every act.
    """
    chosen, seconds = _choice(multi_run), until - backend.clock.now()
    attempted = recording_acts.attempt(
        CLOSE_LOSERS,
        {"multi_run_id": multi_run.id, "candidate": chosen.candidate if chosen else None},
        caller=caller,
        organizations=[multi_run.org_id],
        request_id=multi_run.request_id,
        backend=backend,
    )
    acting = backend.acting_as(caller, deadline=seconds)
    multi_run, outcomes = close_losers(multi_run, candidates, caller=caller, until=until, backend=acting, once=True)
    recording_acts.conclude(attempted, status=200, code=None, answer={}, backend=backend)
    return multi_run, outcomes


def _choice(multi_run: MultiRun) -> Pick | Answer | None:
    return multi_run.pick or multi_run.answer


def _losers(multi_run: MultiRun, candidates: Sequence[Candidate], *, once: bool) -> Iterator[_Loser]:
    chosen, recorded = _choice(multi_run), {*multi_run.closed_pull_requests, *multi_run.kept_pull_requests}
    for candidate in candidates:
        if candidate.watch and chosen and candidate.index != chosen.candidate:
            for opened in opened_by(candidate.watch):
                if once and opened.id in recorded:
                    continue
                yield _Loser(candidate.index, candidate.watch, opened)


def _runs_since(multi_run: MultiRun, caller: Caller, backend: Backend) -> _Seen:
    """Read Codegen's list of runs, newest first, until those that are older than the multi-run."""
    runs: dict[int, AgentRun] = {}
    try:
        for number in range(MOST_PAGES):
            with permit("standard", caller, multi_run.org_id, backend):
                page = backend.codegen.runs.list(org_id=multi_run.org_id, skip=number * PAGE, limit=PAGE).first
            runs |= {run.id: run for run in page.items}
            if "items" in page.unreadable:
                return _Seen(runs, "Codegen's list of runs cannot be read.")
            oldest = min((run.created_at.timestamp() for run in page.items if run.created_at), default=0.0)
            if len(page.items) < PAGE or oldest < multi_run.created_at / 1000:
                return _Seen(runs)
    except (CodegenAPIError, CredentialsRefused, NoPermit) as error:
        return _Seen(runs, f"Codegen's list of runs cannot be read: {error.summary}")
    return _Seen(runs, f"There were more than {PAGE * MOST_PAGES} runs since.")


def _close(loser: _Loser, org_id: int, caller: Caller, backend: Backend) -> tuple[Outcome, str]:
    try:
        with permit("pull_requests", caller, org_id, backend):
            edited = backend.codegen.pull_requests.edit(loser.pull_request.id, "closed", org_id=org_id)
    except (CodegenAPIError, CredentialsRefused, NoPermit) as error:
        return Outcome.FAILED, f"Codegen did not close it: {error.summary}"
    if not edited.success and edited.state != "closed":
        return Outcome.FAILED, f"Codegen did not close it: {edited.error or 'without a reason.'}"
    return Outcome.CLOSED, "It was closed now."


def _record(multi_run: MultiRun, tried: ClosedPullRequest, caller: Caller, backend: Backend) -> MultiRun:
    now, pull_request = backend.clock.now(), tried.pull_request.id

    def decide(multi_run: MultiRun) -> transitions.Change:
        if tried.outcome is Outcome.CLOSED:
            return transitions.pull_request_closed(multi_run, tried.candidate, pull_request, by=caller.id, now=now)
        return transitions.pull_request_kept(multi_run, tried.candidate, pull_request, tried.detail, now=now)

    return recording.update(multi_run, decide, backend=backend)[0]


def _outcome(loser: _Loser, outcome: Outcome, detail: str) -> ClosedPullRequest:
    return ClosedPullRequest(candidate=loser.candidate, pull_request=loser.pull_request, outcome=outcome, detail=detail)


def _works_on(run: AgentRun, pull_request_id: int) -> bool:
    return any(each.id == pull_request_id for each in _pull_requests(run))


def _pull_requests(run: AgentRun | None) -> list[PullRequest]:
    return (run.github_pull_requests if run else None) or []
