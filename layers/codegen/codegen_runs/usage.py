"""The usage report of an organization for a span of time.

The upstream has no such report. It lists all runs, newest first, at most 100 at a time and without their users. This
deployment adds what it knows of the runs that it started. The report makes a limited number of calls, and lists what it
does not know.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pydantic import BaseModel, Field

from codegen_api import AgentRun, CodegenAPI, Harness
from codegen_runs.backend import Backend
from codegen_runs.budgets import limits
from codegen_runs.budgets.counting import BudgetUse
from codegen_runs.callers import Caller
from codegen_runs.clock import Clock, milliseconds
from codegen_runs.events import timestamp
from codegen_runs.problems import Unprocessable
from codegen_runs.run_cards.cards import status_of
from codegen_runs.storage.multi_runs import Answer, AnswerSource, MultiRun, Pick
from codegen_runs.storage.runs import Watch

PAGE = 100
MOST_PAGES = 10
"""The most pages of the upstream's list, and of our multi-runs, that one report reads."""

MOST_DAYS = 366
DEFAULT_DAYS = 30

UNKNOWN = "unknown"

_FIRST = datetime(2000, 1, 1, tzinfo=UTC)  # Earlier than any run.


@dataclass(frozen=True)
class Span:
    """The time from `start`, inclusive, to `end`, exclusive; both in UTC."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Return whether a time is in the span."""
        return self.start <= moment < self.end


class RunCounts(BaseModel):
    """The numbers of runs."""

    total: int
    by_status: dict[str, int]
    by_source: dict[str, int] = Field(description="Runs by what started them: API, SLACK, GITHUB, ...")
    by_user: dict[str, int] = Field(
        description=f"Runs by the user who started them; `{UNKNOWN}` for runs that this deployment did not start."
    )


class Winners(BaseModel):
    """How often candidates with the same model, agent type and agent were selected, ranked first and picked."""

    model: str | None = Field(description="Null for the organization's default.")
    agent_type: Harness | None = Field(description="Null for the organization's default.")
    agent_id: str | None = Field(None, description="The agent of this deployment; null for none.")
    candidates: int = Field(description="Such candidates in multi-runs that selected one.")
    selected: int = Field(description="Such candidates that were selected.")
    judged: int = Field(0, description="Such candidates in multi-runs whose first place judges decided.")
    judged_first: int = Field(0, description="Such candidates that judges ranked first.")
    picked: int = Field(0, description="Such candidates that a person picked, in any multi-run.")
    picked_as_judged: int = Field(0, description="Such candidates that a person picked and that judges ranked first.")
    merged: int = Field(0, description="Such candidates that a person picked and whose pull request is merged.")


class Picks(BaseModel):
    """What people picked, against what was selected and what judges ranked first, and what became of it."""

    total: int = Field(0, description="Multi-runs with a pick.")
    same: int = Field(0, description="Picks of the candidate that had been selected.")
    other: int = Field(0, description="Picks of another candidate than the one that had been selected.")
    as_judged: int = Field(0, description="Picks of the candidate that judges had ranked first, with any strategy.")
    not_as_judged: int = Field(0, description="Picks of another candidate than the one that judges had ranked first.")
    merged: int = Field(0, description="Picks whose pull request is merged.")
    not_merged: int = Field(0, description="Picks whose pull request is not merged.")
    merge_unknown: int = Field(
        0,
        description="Picks without a pull request, or for which the Codegen API does not report whether it is merged.",
    )


class MultiRunCounts(BaseModel):
    """The numbers of multi-runs."""

    total: int
    by_status: dict[str, int]
    selections: int = Field(0, description="Multi-runs in which one of several usable answers was selected.")
    winners: list[Winners] = Field(
        [], description="The candidates by model, agent type and agent, the most selected first."
    )
    picks: Picks = Picks()


class Creations(BaseModel):
    """The numbers of runs that Codegen created. Each counts towards Codegen's rate limit and the plan."""

    total: int
    through_this_deployment: int
    of_multi_runs: int


class NotKnown(BaseModel):
    """Something that the report does not contain."""

    code: str
    detail: str


class Usage(BaseModel):
    """The usage of an organization in a span of time."""

    organization_id: int
    start_date: str
    end_date: str = Field(description="The end of the span, exclusive.")
    runs: RunCounts
    multi_runs: MultiRunCounts
    upstream_creations: Creations
    complete: bool = Field(description="Whether the whole span was counted.")
    counted_from: str = Field(
        description="The time from which runs were counted; `start_date` if the whole span was counted."
    )
    not_known: list[NotKnown]
    budgets: list[BudgetUse] = Field(description="The use of each budget now, whatever the span is.")


def span(start_date: str | None, end_date: str | None, clock: Clock) -> Span:
    """Read the span from a request; by default, the last `DEFAULT_DAYS` days.

    A date includes the whole day, as the end of the span too. A time without a zone is in UTC. Raises `Unprocessable`.
    """
    now = datetime.fromtimestamp(clock.now(), UTC)
    end = _moment("end_date", end_date, days=1) if end_date else now
    start = _moment("start_date", start_date, days=0) if start_date else end - timedelta(days=DEFAULT_DAYS)
    if start >= end:
        raise _fault("start_date", "after_the_end", "Input should be before end_date")
    if end - start > timedelta(days=MOST_DAYS):
        raise _fault("start_date", "too_long", f"Input should be at most {MOST_DAYS} days before end_date")
    return Span(start, end)


def report(org_id: int, within: Span, *, caller: Caller, backend: Backend) -> Usage:
    """Count the runs and multi-runs of an organization. Raises `CodegenAPIError`, `StorageUnavailable`."""
    runs: dict[int, AgentRun] = {}
    followed: dict[int, Watch] = {}
    undated, complete, counted_from = 0, False, within.end
    for page in _pages(org_id, within, backend.codegen):
        undated += sum(run.created_at is None for run in page)
        found = {run.id: run for run in page if run.created_at and within.holds(run.created_at)}
        runs |= found
        followed |= backend.runs.find_many(org_id, list(found))
        counted_from = min([counted_from, *(run.created_at for run in page if run.created_at)])
        if len(page) < PAGE or counted_from < within.start:
            complete = True
            break
    multi_runs, all_multi_runs = _multi_runs(org_id, within, runs, backend)
    started_here = {run_id: watch for run_id, watch in followed.items() if watch.created_by}
    return Usage(
        organization_id=org_id,
        start_date=timestamp(within.start.timestamp()),
        end_date=timestamp(within.end.timestamp()),
        runs=RunCounts(
            total=len(runs),
            by_status=_counted(str(status_of(run.status, followed.get(run_id))) for run_id, run in runs.items()),
            by_source=_counted(run.source_type or UNKNOWN for run in runs.values()),
            by_user=_counted(
                (started_here[run_id].created_by if run_id in started_here else None) or UNKNOWN for run_id in runs
            ),
        ),
        multi_runs=multi_runs,
        upstream_creations=Creations(
            total=len(runs),
            through_this_deployment=len(started_here),
            of_multi_runs=sum(watch.multi_run_id is not None for watch in followed.values()),
        ),
        complete=complete and all_multi_runs,
        counted_from=timestamp((within.start if complete else counted_from).timestamp()),
        not_known=list(_not_known(complete, all_multi_runs, undated)),
        budgets=limits.get(org_id=org_id, caller=caller, backend=backend).used,
    )


def _pages(org_id: int, within: Span, codegen: CodegenAPI) -> Iterator[list[AgentRun]]:
    """Read the runs page by page, from the end of the span backwards."""
    first = codegen.runs.list(org_id=org_id, limit=PAGE).first

    def is_before_the_end(skip: int) -> bool:
        found = codegen.runs.list(org_id=org_id, skip=skip, limit=1).items
        return not found or found[0].created_at is None or found[0].created_at < within.end

    if first.items and first.items[-1].created_at and first.items[-1].created_at >= within.end:
        # The runs are in the order of their creation, so a binary search finds the first of the span in a dozen calls.
        skip = bisect_left(range(first.total), True, lo=PAGE, key=is_before_the_end)
    else:
        yield first.items
        skip = PAGE
    for _ in range(1, MOST_PAGES):
        yield codegen.runs.list(org_id=org_id, skip=skip, limit=PAGE).items
        skip += PAGE


def _multi_runs(
    org_id: int, within: Span, runs: Mapping[int, AgentRun], backend: Backend
) -> tuple[MultiRunCounts, bool]:
    """Count the multi-runs of the span, and return whether all of them were counted. `runs` are given by id."""
    start, end = (milliseconds(moment.timestamp()) for moment in (within.start, within.end))
    counted: list[MultiRun] = []
    before: str | None = f"mr-{end:012x}"  # Ids are in the order of creation.
    for _ in range(MOST_PAGES):
        found, before = backend.multi_runs.newest(org_id, PAGE, before)
        counted += [_without_texts(multi_run) for multi_run in found if start <= multi_run.created_at < end]
        if before is None or (found and found[-1].created_at < start):
            return _counts(counted, runs), True
    return _counts(counted, runs), False


def _without_texts(multi_run: MultiRun) -> MultiRun:
    """Return a multi-run without its long texts: a thousand of them would need much memory."""
    answer = _without_text(multi_run.answer) if multi_run.answer else None
    pick = multi_run.pick and multi_run.pick.model_copy(update={"answer": _without_text(multi_run.pick.answer)})
    candidates = [candidate.model_copy(update={"prompt": None}) for candidate in multi_run.candidates]
    return multi_run.model_copy(update={"prompt": "", "answer": answer, "pick": pick, "candidates": candidates})


def _without_text(answer: Answer) -> Answer:
    return answer.model_copy(update={"text": ""})


_Kind = tuple[str | None, Harness | None, str | None]
"""The model, the agent type and the agent of a candidate."""


def _counts(multi_runs: Sequence[MultiRun], runs: Mapping[int, AgentRun]) -> MultiRunCounts:
    counted: defaultdict[_Kind, Counter[str]] = defaultdict(Counter)
    picks: Counter[str] = Counter()
    selections = 0
    for multi_run in multi_runs:
        kinds: list[_Kind] = [(each.model, each.agent_type, each.agent_id) for each in multi_run.candidates]
        selected, judged_first = _selected(multi_run), _judged_first(multi_run)
        if selected is not None:
            selections += 1
            for kind in kinds:
                counted[kind]["candidates"] += 1
            counted[kinds[selected]]["selected"] += 1
        if judged_first is not None:
            for index in {index for run in multi_run.judge_runs if run.ranking is not None for index in run.order}:
                counted[kinds[index]]["judged"] += 1
            counted[kinds[judged_first]]["judged_first"] += 1
        if pick := multi_run.pick:
            found = list(_outcomes(pick, selected, judged_first, runs))
            picks.update(found)
            counted[kinds[pick.candidate]].update(_OF_KIND[each] for each in found if each in _OF_KIND)
    ordered = sorted(counted, key=lambda kind: (*(-counted[kind][name] for name in _ORDER), str(kind)))
    return MultiRunCounts(
        total=len(multi_runs),
        by_status=dict(Counter(str(multi_run.status) for multi_run in multi_runs)),
        selections=selections,
        winners=[
            Winners(
                model=kind[0],
                agent_type=kind[1],
                agent_id=kind[2],
                **{"candidates": 0, "selected": 0} | dict(counted[kind]),
            )
            for kind in ordered
        ],
        picks=Picks(**picks),
    )


_ORDER = ("selected", "picked", "judged_first", "candidates", "judged")
_OF_KIND = {"total": "picked", "as_judged": "picked_as_judged", "merged": "merged"}


def _selected(multi_run: MultiRun) -> int | None:
    """Return the candidate that was selected among several usable ones; None if none was."""
    answer = multi_run.answer
    return answer.candidate if answer and answer.source is AnswerSource.SELECTED else None


def _judged_first(multi_run: MultiRun) -> int | None:
    """Return the candidate that judges ranked first; None if the evidence decided about the first place."""
    ranking = multi_run.ranking
    return ranking.order[0] if ranking and ranking.by_judges else None


def _outcomes(
    pick: Pick, selected: int | None, judged_first: int | None, runs: Mapping[int, AgentRun]
) -> Iterator[str]:
    """Yield the counts of `Picks` to which a pick belongs."""
    yield "total"
    if selected is not None:
        yield "same" if selected == pick.candidate else "other"
    if judged_first is not None:
        yield "as_judged" if judged_first == pick.candidate else "not_as_judged"
    merged = _is_merged(runs.get(pick.agent_run_id or 0))
    yield "merge_unknown" if merged is None else "merged" if merged else "not_merged"


def _is_merged(run: AgentRun | None) -> bool | None:
    """Return whether a pull request of a run is merged; None if Codegen does not report that.

    Codegen's document has no such field, but Codegen's own client reads one.
    """
    pull_requests = (run.github_pull_requests if run else None) or []
    merged = [each.model_extra.get("merged") for each in pull_requests if each.model_extra]
    known = [each for each in merged if isinstance(each, bool)]
    return any(known) if known else None


def _not_known(complete: bool, all_multi_runs: bool, undated: int) -> Iterator[NotKnown]:
    yield NotKnown(code="cost", detail="The Codegen API does not report tokens, cost or the time that a run took.")
    yield NotKnown(
        code="users",
        detail=(
            "The Codegen API does not report who started a run. This deployment knows it for 60 days, for the runs "
            "that it started."
        ),
    )
    yield NotKnown(
        code="merged_pull_requests",
        detail="The document of the Codegen API has no field that reports whether a pull request was merged.",
    )
    yield NotKnown(
        code="follow_ups", detail="A follow-up is not counted separately; it belongs to its run, at the run's start."
    )
    if not complete:
        yield NotKnown(
            code="older_runs",
            detail=f"One report counts at most {PAGE * MOST_PAGES} runs; there are more. Request a shorter span.",
        )
    if not all_multi_runs:
        yield NotKnown(
            code="older_multi_runs",
            detail=f"One report counts at most {PAGE * MOST_PAGES} multi-runs; there are more.",
        )
    if undated:
        yield NotKnown(code="undated_runs", detail=f"{undated} runs have no creation date and are not counted.")


def _counted(words: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def _moment(name: str, text: str, *, days: int) -> datetime:
    """Read a time, or a date; a date becomes its first moment plus `days` days."""
    try:
        if len(text) == len("2024-01-31"):
            moment = datetime.combine(date.fromisoformat(text), time.min, UTC) + timedelta(days=days)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        message = "Input should be a date or a time, such as 2024-01-31 or 2024-01-31T10:30:00Z"
        raise _fault(name, "datetime_parsing", message) from None
    if moment < _FIRST:
        raise _fault(name, "greater_than_equal", f"Input should not be before {_FIRST.date()}")
    return moment


def _fault(name: str, kind: str, message: str) -> Unprocessable:
    return Unprocessable(errors=[{"loc": ["query", name], "msg": message, "type": kind}])
