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

Prompt = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PROMPT_CHARACTERS), NotBlank
]


class Strategy(StrEnum):
    """How the answers of the candidates become one."""

    SYNTHESIZE = "synthesize"
    """A further run joins the usable answers."""
    SELECT = "select"
    """A further run names the best answer, which is then given as it is."""
    NONE = "none"
    """The answers stay side by side."""


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


class SynthesisOptions(BaseModel):
    """How the usable answers are joined."""

    prompt: Prompt | None = Field(None, description="Instructions for the synthesis, instead of the usual ones.")
    model: str | None = Field(None, description="The model of the synthesis run; else the candidates'.")
    top_k: int | None = Field(None, ge=2, description="Join the best so many answers only.")


class MultiRunStatus(StrEnum):
    """Where a multi-run stands; the last three are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    SYNTHESIZING = "synthesizing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing more is expected."""
        return self in (MultiRunStatus.COMPLETED, MultiRunStatus.FAILED, MultiRunStatus.CANCELLED)


class AnswerSource(StrEnum):
    """Where the final answer comes from."""

    SYNTHESIS = "synthesis"
    SELECTED = "selected"
    ONLY_CANDIDATE = "only_candidate"
    FALLBACK = "fallback"
    """The best candidate's, because the synthesis gave nothing usable."""
    PICKED = "picked"
    """A person picked the candidate."""


class Answer(BaseModel):
    """The answer of a multi-run."""

    text: str
    source: AnswerSource
    candidate: int | None = None
    """Index of the candidate whose words these are."""
    reason: str | None = None
    truncated: bool = False


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
    repo_id: int | None = None
    metadata: dict[str, Any] = {}
    strategy: Strategy
    quorum: int
    synthesis: SynthesisOptions
    synthesis_order: list[int] | None = None
    """The indexes of the candidates in the synthesis prompt, in their order there; None before the synthesis."""
    candidate_timeout_s: int
    deadline_at: int
    on_deadline: OnDeadline = OnDeadline.PARTIAL
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
    closed_pull_requests: list[int] = []
    """The pull requests of candidates that were closed after a pick, by Codegen's ids."""
    reason: str | None = None
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
    def current_answer(self) -> Answer | None:
        """The answer of the picked candidate; without a pick, the answer that the multi-run found."""
        return self.pick.answer if self.pick else self.answer

    @property
    def settled(self) -> bool:
        """Whether it has ended, so that no event follows unless somebody decides otherwise."""
        return self.status.terminal

    def candidate_key(self, index: int) -> str:
        """Return the key of a candidate's watch."""
        return f"{self.id}-{index}"

    @property
    def synthesis_key(self) -> str:
        """The key of the watch of the synthesis run."""
        return f"{self.id}-synthesis"

    @property
    def candidate_keys(self) -> list[str]:
        """The keys of the watches of all candidates."""
        return [self.candidate_key(index) for index in range(len(self.candidates))]

    @property
    def keys(self) -> list[str]:
        """The keys of the watches of all runs that it may need."""
        synthesis = [] if self.strategy is Strategy.NONE else [self.synthesis_key]
        return [*self.candidate_keys, *synthesis]


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
        if status.terminal:
            changes["open"] = None
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
    texts = multi_run.model_dump(mode="json", exclude_none=True, include={"prompt", "candidates", "synthesis"})
    return {**redact(texts), "metadata": json.dumps(redact(multi_run.metadata))}


def _item(multi_run: MultiRun) -> Item:
    item = _key(multi_run.org_id, multi_run.id) | multi_run.model_dump(mode="json", exclude_none=True)
    # Stored as JSON text, because metadata may contain numbers that DynamoDB cannot store.
    return item | {"metadata": json.dumps(multi_run.metadata), "open": _OPEN}


def _multi_run(item: Item) -> MultiRun:
    return MultiRun.model_validate(item | {"metadata": json.loads(item["metadata"])})
