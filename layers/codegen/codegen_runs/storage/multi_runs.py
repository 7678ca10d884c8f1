"""The multi-runs table: one item per multi-run, under its organization, in the order of creation.

| pk            | sk               | item            |
|---------------|------------------|-----------------|
| `org#{org}`   | `multi_run#{id}` | the `MultiRun`  |

The state of its runs is not in this table: each run has a watch in the runs table. The events of a multi-run are in the
runs table too, under its id as their key. The sparse index `open` has the multi-runs that have not ended, by time of
creation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from codegen_api import Harness
from codegen_runs.bodies import NotBlank
from codegen_runs.redaction import redact
from codegen_runs.storage.table import ABSENT, Condition, Item, Table, transact

_OPEN = "open"

Action = tuple[str, dict[str, Any]]
"""A part of a transaction, as `storage.table.transact` takes it."""

MAX_PROMPT_CHARACTERS = 60_000
TOP_K = 5

Prompt = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS), NotBlank
]


class Strategy(StrEnum):
    """How the answers of the candidates become one."""

    SYNTHESIZE = "synthesize"
    """A further run joins the usable answers."""
    SELECT = "select"
    """The best answer is given as it is."""
    RANK = "rank"
    """The answers are ranked, and a person picks one."""
    NONE = "none"
    """The answers stay side by side."""


class JudgePolicy(StrEnum):
    """When judges rank the candidates."""

    AUTO = "auto"
    """If the strategy needs a ranking and the evidence does not decide."""
    ALWAYS = "always"
    """Whenever several answers are usable."""
    NEVER = "never"
    """Never: the evidence alone ranks them."""


class OnDeadline(StrEnum):
    """What happens at the deadline if candidates have not ended."""

    PARTIAL = "partial"
    """The others are enough if they meet the quorum."""
    FAIL = "fail"
    """The multi-run fails."""


class Variant(BaseModel):
    """The options of one candidate."""

    model_config = ConfigDict(frozen=True)

    prompt: str | None = None
    """Its prompt, if that is not the prompt of the multi-run."""
    model: str | None = None
    agent_type: Harness | None = None
    repo_id: int | None = None
    agent_id: str | None = None
    """The agent of this deployment whose instructions the run gets, in the version `agent_version`."""
    agent_version: int | None = None
    system_prompt: str | None = None
    """Instructions in place of those of the agent."""
    added: bool = False
    """Whether a caller added the candidate to the multi-run when it was running."""
    second_wave: bool = False
    """Whether it starts after all others, from summaries of the best of them."""


class SynthesisOptions(BaseModel):
    """How the usable answers are joined."""

    prompt: Prompt | None = Field(None, description="Instructions for the synthesis, instead of the usual ones.")
    model: str | None = Field(None, description="The model of the synthesis run; else the candidates'.")
    top_k: int | None = Field(
        None,
        ge=2,
        description=f"Join the best so many answers only; {TOP_K} if this is null.",
    )

    graft: bool = Field(
        False,
        description="Whether to send the base what it should take over from others, as a follow-up to its run.",
    )

    @property
    def most(self) -> int:
        """The most answers that are joined."""
        return self.top_k or TOP_K


class Standing(BaseModel):
    """What the evidence says about the usable candidates, as it was when all had come."""

    model_config = ConfigDict(frozen=True)

    order: list[int]
    """The indexes of the candidates, the best first."""
    failed: list[int] = []
    """Those whose tests failed, if the tests of another one passed."""

    @property
    def contenders(self) -> list[int]:
        """The candidates that can be the best."""
        return [index for index in self.order if index not in self.failed]


class JudgeRun(BaseModel):
    """A run that ranks some of the candidates, and its verdict."""

    model_config = ConfigDict(frozen=True)

    number: int
    """From 1, through all judge runs of the multi-run."""
    stage: int = 0
    """Candidates of a large multi-run are judged in groups, the best of which are judged in the next stage."""
    group: int = 0
    again: bool = False
    """Whether it judges pairs again about which the two orders contradicted each other."""
    swapped: bool = False
    """Whether its order is that of the first judge reversed."""
    order: list[int]
    """The indexes of the candidates, as the prompt has them."""
    ranking: list[int] | None = None
    """The candidates, the best first; those that are missing are equal. None without a verdict."""
    reasons: dict[str, str] = {}
    disagreements: list[str] = []
    none_acceptable: bool = False
    problem: str | None = None
    """Why the run gave no verdict; None before its end and with a verdict."""

    @property
    def ended(self) -> bool:
        """Whether the run has a verdict, or will have none."""
        return self.ranking is not None or self.problem is not None


class RankedCandidate(BaseModel):
    """The place of a candidate."""

    candidate: int
    rank: int
    """From 1. Candidates between which nothing decides have the same rank."""
    points: int | None = None
    """For each candidate that a judge ranks below it 2, for each that it ranks equal 1. None if no judge ranked it."""
    reasons: list[str] = []


class Contradiction(BaseModel):
    """Two candidates that the judges ranked one way in one order and the other way in the other order."""

    candidates: tuple[int, int]
    settled: bool = False
    """Whether the judges agreed when they compared the two again."""


class Ranking(BaseModel):
    """The usable candidates, the best first, and what decided."""

    candidates: list[RankedCandidate]
    by_judges: bool
    """Whether verdicts of judges decided; otherwise the evidence did."""
    judges_failed: bool = False
    """Whether judges were asked and gave no usable verdict."""
    reason: str | None = None
    """Why no judge was asked, or why the verdicts do not decide."""
    contradictions: list[Contradiction] = []
    """Those of the last stage."""
    compared: int = 0
    """The pairs of candidates that judges ranked in both orders, in all stages."""
    flipped: int = 0
    """The pairs among them that they ranked differently."""
    disagreements: list[str] = []
    """Where the candidates contradict each other, as the judges put it."""
    none_acceptable: bool = False
    """Whether the judges found no candidate acceptable."""

    @property
    def order(self) -> list[int]:
        """The indexes of the candidates, the best first."""
        return [each.candidate for each in self.candidates]


class MultiRunStatus(StrEnum):
    """Where a multi-run stands; the last three are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    JUDGING = "judging"
    SYNTHESIZING = "synthesizing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing more is expected."""
        return self in (MultiRunStatus.COMPLETED, MultiRunStatus.FAILED, MultiRunStatus.CANCELLED)


class Instructions(BaseModel):
    """The instructions of the synthesis run; the fences around the candidates are not part of them."""

    model_config = ConfigDict(frozen=True)

    synthesize: str
    """To fuse answers in words."""
    graft: str
    """To name what the base should take over from the others."""


class Rejection(BaseModel):
    """An output of a synthesis run that is not acceptable."""

    model_config = ConfigDict(frozen=True)

    synthesis: int
    """The number of the synthesis run."""
    reason: str


class AnswerSource(StrEnum):
    """Where the final answer comes from."""

    SYNTHESIS = "synthesis"
    SELECTED = "selected"
    BASE = "base"
    """The base's, because the candidates changed code. `grafts` has what it can take over from others."""
    ONLY_CANDIDATE = "only_candidate"
    FALLBACK = "fallback"
    """The best candidate's, because the synthesis gave nothing usable."""
    PICKED = "picked"
    """A person picked the candidate."""


class Graft(BaseModel):
    """Something that the base of an answer can take over from another candidate."""

    candidate: int = Field(description="The index of the candidate from which it comes.")
    what: str = Field(description="What to take over, as the synthesis names it.")


class GraftOutcome(StrEnum):
    """Whether the base has received what it should take over."""

    SENT = "sent"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    """It was sent, and there was no answer."""


class SentGraft(BaseModel):
    """A follow-up to the run of the base."""

    outcome: GraftOutcome
    problem: str | None = Field(None, description="Why it was not sent, or why that is unknown.")


class Answer(BaseModel):
    """The answer of a multi-run."""

    text: str
    source: AnswerSource
    candidate: int | None = None
    """Index of the candidate whose words these are."""
    reason: str | None = None
    truncated: bool = False
    grafts: list[Graft] = []


class Adaptive(BaseModel):
    """Launch a few candidates first, and the others only while the answers disagree."""

    model_config = ConfigDict(frozen=True)

    start: int
    """How many candidates are launched first."""
    agree: int
    """How many answers must agree so that no further candidate is launched."""


class BestCandidate(BaseModel):
    """A candidate from which the second wave starts."""

    model_config = ConfigDict(frozen=True)

    candidate: int
    summary: str
    """What its run did, without the names of models."""


class Drop(BaseModel):
    """Why a candidate does not count any more. Its run may continue at Codegen."""

    model_config = ConfigDict(frozen=True)

    at: int
    by: str | None = None
    """The caller who dropped it; None if the multi-run itself did."""
    reason: str


class CheckpointStart(BaseModel):
    """The checkpoint that all candidates start from."""

    model_config = ConfigDict(frozen=True)

    id: str
    """The id of the checkpoint. It names the run by its key."""
    run: str
    """The key of the checkpoint's run."""
    agent_run_id: int
    epoch: int
    seq: int
    system_prompt: str | None = None
    """The instructions of the checkpoint's run, if they are not those of its agent."""
    places: tuple[str, ...] = ()
    """The pull requests that the run had at the checkpoint, as text."""


class Closer(BaseModel):
    """The API token with which it was requested that the pull requests of the candidates that lose are closed."""

    model_config = ConfigDict(frozen=True)

    user_id: int
    token_id: str
    """The id of the token, which is no secret."""


class Pick(BaseModel):
    """A person's choice of a candidate. Its answer takes precedence over the one that the multi-run found."""

    candidate: int
    agent_run_id: int | None = None
    """The run at Codegen whose answer this is."""
    picked_by: str
    """The id of the caller."""
    picked_at: int
    reason: str | None = None
    answer: Answer


class MultiRun(BaseModel):
    """One multi-run, without the state of its runs. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    id: str
    status: MultiRunStatus = MultiRunStatus.QUEUED
    prompt: str
    candidates: list[Variant]
    """One per candidate, complete: what a variant of the request leaves out is that of the multi-run."""
    defaults: Variant = Variant()
    """The options of a candidate that leaves everything out."""
    from_checkpoint: CheckpointStart | None = None
    repo_id: int | None = None
    metadata: dict[str, Any] = {}
    strategy: Strategy
    judge: JudgePolicy = JudgePolicy.AUTO
    judges: int = 2
    """How many judges rank the same candidates: 1, or 2 with opposite orders."""
    quorum: int
    synthesis: SynthesisOptions
    instructions: Instructions | None = None
    """None in a record of an earlier version."""
    standing: Standing | None = None
    """What the evidence says about the usable candidates; None until they are ranked or judged."""
    judge_runs: list[JudgeRun] = []
    """The judge runs that lead to the ranking."""
    earlier_judge_runs: int = 0
    """The number of judge runs of earlier rankings."""
    ranking: Ranking | None = None
    """None until the candidates are ranked. Fewer than two usable candidates are not ranked."""
    synthesis_order: list[int] | None = None
    """The indexes of the candidates in the synthesis prompt, in their order there; None before the synthesis."""
    base: int | None = None
    """The candidate that takes over parts of those in `synthesis_order`; None if all answers are fused."""
    syntheses: int = 1
    """The number of the synthesis run, from 1."""
    rejections: list[Rejection] = []
    """The outputs that are not acceptable."""
    graft: SentGraft | None = None
    """None if no follow-up was sent to the base."""
    candidate_timeout_s: int
    deadline_at: int
    on_deadline: OnDeadline = OnDeadline.PARTIAL
    first_k: int | None = None
    """The number of usable answers after which it waits for no further candidate; None: for all of them."""
    adaptive: Adaptive | None = None
    best: list[BestCandidate] = []
    """Those from which the second wave starts, the best first. Empty before it is launched."""
    waves: list[list[int]] = []
    """The candidates that the state machine was told to launch, each time."""
    launched: list[int] = []
    """All of these. A candidate that is not among them, and is needed, is launched next."""
    dropped: dict[str, Drop] = {}
    """The candidates that do not count, by their index."""
    created_by: str
    request_id: str | None = None
    """The id of the request that started it: see `correlation`."""
    created_at: int
    finished_at: int | None = None
    paused_at: int | None = None
    """When it was paused: since then, none of its runs is launched."""
    answer: Answer | None = None
    """The answer that it found. A pick does not change it."""
    pick: Pick | None = None
    closer: Closer | None = None
    """None if nothing is closed when a candidate is selected."""
    closed_pull_requests: list[int] = []
    """The pull requests of candidates that were closed after a pick or a selection, by Codegen's ids."""
    kept_pull_requests: list[int] = []
    """Those that were to be closed and were not at the first try. After a selection, each is tried once."""
    reason: str | None = None
    attempts: dict[str, int] = {}
    """The number of the last attempt of each candidate that was retried, by its index. The first attempt is 1."""
    left_out: list[int] = []
    """The candidates that a caller left out of the answer."""
    execution: int = 0
    """The number of the execution of its state machine, from 0. Each retry or resynthesis starts a further one."""
    reopened_at: int | None = None
    """When the last of these was requested."""
    outcomes: dict[str, bool] = {}
    """Whether each candidate is usable whose end is in the event log, by its index."""
    gathered_at: int | None = None
    """When all candidates that could still come had come."""
    epoch: int = 0
    seq: int = 0
    """The number of the last event."""
    rev: int = 0
    """The number of writes. Each write requires the number that was read, so no event is lost or repeated."""

    @property
    def key(self) -> str:
        """The key of its event log."""
        return self.id

    @property
    def ended_count(self) -> int:
        """The number of candidates that have ended and count."""
        return sum(index not in self.dropped for index in self.outcomes)

    @property
    def usable_count(self) -> int:
        """The number of usable answers whose candidates count."""
        return sum(usable for index, usable in self.outcomes.items() if index not in self.dropped)

    @property
    def current_answer(self) -> Answer | None:
        """The answer of the picked candidate; without a pick, the answer that the multi-run found."""
        return self.pick.answer if self.pick else self.answer

    @property
    def settled(self) -> bool:
        """Whether it has ended, so that no event follows unless somebody decides otherwise."""
        return self.status.terminal

    @property
    def execution_name(self) -> str:
        """The name of the execution of its state machine. Step Functions accepts each name once."""
        return f"{self.id}-{self.execution}" if self.execution else self.id

    @property
    def required(self) -> int:
        """How many usable answers are required."""
        return min(self.quorum, len(self.candidates) - len(self.left_out)) if self.left_out else self.quorum

    @property
    def second_wave(self) -> list[int]:
        """The indexes of the candidates of the second wave."""
        return [index for index, each in enumerate(self.candidates) if each.second_wave]

    def attempt(self, index: int) -> int:
        """Return the number of a candidate's last attempt, from 1."""
        return self.attempts.get(str(index), 1)

    def candidate_key(self, index: int) -> str:
        """Return the key of the watch of a candidate's last attempt."""
        return self._candidate_key(index, self.attempt(index))

    def _candidate_key(self, index: int, attempt: int) -> str:
        return f"{self.id}-{index}" if attempt == 1 else f"{self.id}-{index}.{attempt}"

    @property
    def synthesis_key(self) -> str:
        """The key of the watch of the synthesis run, of the last one if there are several."""
        return self._synthesis_key(self.syntheses)

    def _synthesis_key(self, number: int) -> str:
        return f"{self.id}-synthesis" if number == 1 else f"{self.id}-synthesis.{number}"

    def judge_key(self, number: int) -> str:
        """Return the key of the watch of a judge run."""
        return f"{self.id}-judge.{number}"

    @property
    def internal_keys(self) -> list[str]:
        """The keys of the watches of all judges and syntheses so far."""
        judges = range(1, self.earlier_judge_runs + len(self.judge_runs) + 1)
        return [
            *(self.judge_key(number) for number in judges),
            *(self._synthesis_key(number) for number in range(1, self.syntheses + 1)),
        ]

    @property
    def every_key(self) -> list[str]:
        """The keys of the watches of all its runs so far, those of earlier attempts included."""
        attempts = [
            self._candidate_key(index, attempt)
            for index in range(len(self.candidates))
            for attempt in range(1, self.attempt(index) + 1)
        ]
        return [*attempts, *self.internal_keys]

    @property
    def current_keys(self) -> list[str]:
        """The keys of the watches of the runs that count now, without those of earlier attempts and rankings."""
        return [*self.candidate_keys, *(self.judge_key(run.number) for run in self.judge_runs), self.synthesis_key]

    @property
    def identities(self) -> set[str]:
        """The names of the models and harnesses of the candidates, which a judge must not see."""
        named = ((variant.model, variant.agent_type) for variant in self.candidates)
        return {str(name) for names in named for name in names if name}

    @property
    def candidate_keys(self) -> list[str]:
        """The keys of the watches of all candidates."""
        return [self.candidate_key(index) for index in range(len(self.candidates))]


class MultiRunsTable:
    """Multi-runs by organization. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def add(self, multi_run: MultiRun, *, also: Sequence[Action] = ()) -> None:
        """Store a new multi-run, with actions on other items. Raises `ConditionFailed` if the id exists already."""
        if also:
            transact([("Put", self._table.put_action(_item(multi_run), ABSENT)), *also])
        else:
            self._table.put(_item(multi_run), ABSENT)

    def get(self, org_id: int, multi_run_id: str) -> MultiRun | None:
        """Read one multi-run."""
        item = self._table.get(_key(org_id, multi_run_id))
        return _multi_run(item) if item else None

    def get_many(self, org_id: int, ids: Sequence[str]) -> dict[str, MultiRun]:
        """Read the multi-runs that exist, by id."""
        found = map(_multi_run, self._table.get_many([_key(org_id, each) for each in ids]))
        return {multi_run.id: multi_run for multi_run in found}

    def advance(
        self,
        multi_run: MultiRun,
        status: MultiRunStatus,
        *,
        also: Sequence[Action] = (),
        **changes: Any,
    ) -> MultiRun:
        """Change the status and other fields of a multi-run; return the changed multi-run.

        Args:
            multi_run: The multi-run as it was read.
            status: Its status from now on.
            also: Actions on other items, in the same transaction: those of `RunsTable.event_actions`.
            changes: The changed fields. None removes a field.

        Raises `ConditionFailed` if the multi-run was written since it was read.
        """
        if status.terminal and not multi_run.status.terminal:
            changes |= _no_longer_needed(multi_run)
        changes = {name: redact(_plain(value)) for name, value in changes.items()}
        changes |= {"status": str(status), "rev": multi_run.rev + 1}
        if status.terminal != multi_run.status.terminal:
            changes["open"] = None if status.terminal else _OPEN
        # An earlier version of this deployment wrote no `rev`.
        same = "#rev = :rev" if multi_run.rev else "(attribute_not_exists(#rev) OR #rev = :rev)"
        unchanged = Condition(f"#status = :status AND {same}", {"status": str(multi_run.status), "rev": multi_run.rev})
        key = _key(multi_run.org_id, multi_run.id)
        if also:
            transact([("Update", self._table.update_action(key, changes, unchanged)), *also])
        else:
            self._table.update(key, changes, unchanged)
        item = {name: value for name, value in (_item(multi_run) | changes).items() if value is not None}
        return _multi_run(item)

    def open(self, *, created_before: int, limit: int) -> list[MultiRun]:
        """List multi-runs of any organization that have not ended, oldest first."""
        condition = Condition("#open = :open AND #created_at < :before", {"open": _OPEN, "before": created_before})
        items, _ = self._table.query(condition, index="open", limit=limit)
        found = self._table.get_many([{"pk": item["pk"], "sk": item["sk"]} for item in items])
        return [multi_run for multi_run in map(_multi_run, found) if not multi_run.status.terminal]

    def newest(self, org_id: int, limit: int, before: str | None = None) -> tuple[list[MultiRun], str | None]:
        """List multi-runs before an id, newest first, and the id before which to continue if there are more."""
        start = dict(_key(org_id, before)) if before else None
        condition = Condition("#pk = :pk AND begins_with(#sk, :sk)", {"pk": f"org#{org_id}", "sk": "multi_run#"})
        items, following = self._table.query(condition, limit=limit, newest_first=True, start=start)
        return [_multi_run(item) for item in items], _id(following) if following else None


def _key(org_id: int, multi_run_id: str) -> dict[str, str]:
    return {"pk": f"org#{org_id}", "sk": f"multi_run#{multi_run_id}"}


def _id(key: Item) -> str:
    return str(key["sk"]).removeprefix("multi_run#")


def _plain(value: Any) -> Any:
    """Return a model, or models in a list or dict, as DynamoDB stores them."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _no_longer_needed(multi_run: MultiRun) -> dict[str, Any]:
    """Return the texts that callers wrote, masked: they are needed as they are only until all runs are launched."""
    written = {"prompt", "candidates", "synthesis", "instructions"}
    texts = multi_run.model_dump(mode="json", exclude_none=True, include=written)
    return {**redact(texts), "metadata": json.dumps(redact(multi_run.metadata))}


def _item(multi_run: MultiRun) -> Item:
    item = _key(multi_run.org_id, multi_run.id) | multi_run.model_dump(mode="json", exclude_none=True)
    # Stored as JSON text, because metadata may contain numbers that DynamoDB cannot store.
    return item | {"metadata": json.dumps(multi_run.metadata), "open": _OPEN}


def _multi_run(item: Item) -> MultiRun:
    return MultiRun.model_validate(item | {"metadata": json.loads(item["metadata"])})
