"""Checkpoints of runs and forks from them: items of the runs table, so that they are written in its transactions.

| pk                        | sk                           | item                                     |
|---------------------------|------------------------------|------------------------------------------|
| `run#{org}#{key}`         | `checkpoint#{epoch}#{seq}`   | one `Checkpoint`                         |
| `forks#{org}#{key}`       | `{epoch}#{seq}#{fork}`       | a `Fork` of one of the run's checkpoints |
| `origin#{org}#{key}`      | `origin`                     | the `Fork` that created the run          |

Checkpoints never change. A fork changes once, when its new run is known. A checkpoint contains everything it needs, so
it can be read when the events of its run are deleted. What looks like a secret in it is masked. DynamoDB deletes these
items some time after `expires_at` (epoch seconds). A fork does not write to the partition of the run that it is made
from.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from codegen_api import Harness
from codegen_runs.prompts import Prompt
from codegen_runs.redaction import redact
from codegen_runs.statuses import Status
from codegen_runs.storage.keys import run_partition
from codegen_runs.storage.table import ABSENT, PRESENT, Condition, Item, Table, transact

RETENTION = 365 * 86_400
"""How many seconds a checkpoint or a fork is stored."""

_FIRST, _LAST = "checkpoint#", "checkpoint#~"


class Reason(StrEnum):
    """The occasion of a checkpoint."""

    START = "start"
    FOLLOW_UP = "follow_up"
    PLAN = "plan"
    PULL_REQUEST = "pull_request"
    END = "end"
    MANUAL = "manual"


class CheckpointAction(StrEnum):
    """How a run is started from a checkpoint."""

    RESTORE = "restore"
    FORK = "fork"


class Head(BaseModel):
    """The last checkpoint of a run, in short."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    seq: int
    hash: str
    turn: int
    prompt: int = 0
    """The number of the last prompt in this checkpoint or the ones before it."""


class AgentVersion(BaseModel):
    """The version of an agent's profile with which a prompt was sent."""

    model_config = ConfigDict(frozen=True)

    id: str
    version: int


class Checkpoint(BaseModel):
    """A point in a run, with the prompts and the answer since the checkpoint before it.

    The whole conversation up to this point is in the run's checkpoints up to this one. Times are epoch milliseconds.
    """

    model_config = ConfigDict(frozen=True)

    org_id: int
    run: str
    """The key of the run."""
    agent_run_id: int
    epoch: int
    seq: int
    """The number of its event `checkpoint.created`."""
    turn: int
    reason: Reason
    status: Status
    prompts: tuple[Prompt, ...] = ()
    """The prompts since the checkpoint before."""
    answer: str | None = None
    """The result of the turn, in the checkpoint at its end."""
    answer_truncated: bool = False
    summary: str | None = None
    agent: AgentVersion | None = None
    repo_id: int | None = None
    model: str | None = None
    agent_type: Harness | None = None
    tags: tuple[str, ...] = ()
    created_at: int
    created_by: str | None = None
    """The id of the caller who created it; None if the poller did."""
    parent: str | None = None
    """The hash of the checkpoint before it."""
    hash: str = ""
    """The hash of all other fields. Because of `parent`, it also covers all checkpoints before."""

    @property
    def id(self) -> str:
        """The id that callers use: `{run}.{epoch}-{seq}`."""
        return f"{self.run}.{self.epoch}-{self.seq}"

    def sealed(self) -> Checkpoint:
        """Return the checkpoint with its hash."""
        return self.model_copy(update={"hash": self.digest})

    @property
    def digest(self) -> str:
        """The hash of the current content, without the field `hash`."""
        content = self.model_dump(mode="json", exclude_none=True, exclude={"hash"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Fork(BaseModel):
    """A run that was started from a checkpoint of another run. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    id: str
    """The `client_run_id` in the metadata of the new run. Ids sort by time of creation, those of candidates last."""
    action: CheckpointAction
    run: str
    """The key of the run that was forked."""
    agent_run_id: int
    epoch: int
    seq: int
    turn: int
    hash: str
    """The hash of the checkpoint."""
    modified: tuple[str, ...] = ()
    """The names of the request's fields that replaced values of the checkpoint."""
    system_prompt: str | None = None
    """The system prompt of the new run, if it is not that of the agent's profile."""
    child: str | None = None
    """The key of the new run; None until it is known that the run was created."""
    multi_run_id: str | None = None
    """The multi-run whose candidate the new run is."""
    created_at: int
    created_by: str

    @classmethod
    def of(cls, checkpoint: Checkpoint, **values: Any) -> Self:
        """Make the record of a run that starts from a checkpoint; `values` are what does not follow from that."""
        shared = ("org_id", "run", "agent_run_id", "epoch", "seq", "turn", "hash")
        return cls(**{name: getattr(checkpoint, name) for name in shared}, **values)

    @property
    def checkpoint_id(self) -> str:
        """The id of the checkpoint."""
        return f"{self.run}.{self.epoch}-{self.seq}"


class Checkpoints:
    """The checkpoints and forks in the runs table. Every method may raise `StorageUnavailable`.

    Args:
        name: The name of the table.
        retention: How many seconds a fork is stored.
    """

    def __init__(self, name: str, *, retention: int = RETENTION) -> None:
        self._table = Table(name)
        self._retention = retention

    def get(self, org_id: int, run: str, epoch: int, seq: int) -> Checkpoint | None:
        """Read one checkpoint."""
        item = self._table.get({"pk": run_partition(org_id, run), "sk": _position(epoch, seq)})
        return Checkpoint.model_validate(item) if item else None

    def newest(
        self, org_id: int, run: str, limit: int, before: str | None = None
    ) -> tuple[list[Checkpoint], str | None]:
        """List checkpoints of a run, newest first, before a position, and the position before which to continue."""
        pk = run_partition(org_id, run)
        condition = Condition("#pk = :pk AND #sk BETWEEN :first AND :last", {"pk": pk, "first": _FIRST, "last": _LAST})
        start: Item | None = {"pk": pk, "sk": before} if before else None
        items, following = self._table.query(condition, limit=limit, newest_first=True, start=start)
        return [Checkpoint.model_validate(item) for item in items], str(following["sk"]) if following else None

    def until(self, checkpoint: Checkpoint) -> list[Checkpoint]:
        """List the checkpoints of a run up to this one, oldest first."""
        last = _position(checkpoint.epoch, checkpoint.seq)
        pk = run_partition(checkpoint.org_id, checkpoint.run)
        condition = Condition("#pk = :pk AND #sk BETWEEN :first AND :last", {"pk": pk, "first": _FIRST, "last": last})
        return [Checkpoint.model_validate(item) for item in self._all(condition)]

    def add_fork(self, fork: Fork) -> None:
        """Store a fork before its run is started."""
        self._table.put(_fork(fork, self._retention), ABSENT)

    def settle_fork(self, fork: Fork, child: str) -> Fork:
        """Store the key of a fork's new run."""
        settled = fork.model_copy(update={"child": child})
        self._put_with_origin(settled, PRESENT)
        return settled

    def add_settled_fork(self, fork: Fork) -> None:
        """Store a fork whose new run has its key before it is started."""
        self._put_with_origin(fork, None)

    def remove_fork(self, fork: Fork) -> None:
        """Delete a fork whose run was not started."""
        self._table.delete(_fork_key(fork))

    def forks(self, org_id: int, run: str, limit: int, of: Checkpoint | None = None) -> list[Fork]:
        """List the forks of a run's checkpoints, or of one of them, by checkpoint and then oldest first."""
        condition = Condition("#pk = :pk", {"pk": f"forks#{org_id}#{run}"})
        if of:
            begins = {**condition.values, "of": _number(of.epoch, of.seq)}
            condition = Condition("#pk = :pk AND begins_with(#sk, :of)", begins)
        items, _ = self._table.query(condition, limit=limit)
        return [Fork.model_validate(item) for item in items]

    def origin(self, org_id: int, run: str) -> Fork | None:
        """Read the fork that created a run; None for a run that was not created by a fork."""
        item = self._table.get({"pk": f"origin#{org_id}#{run}", "sk": "origin"})
        return Fork.model_validate(item) if item else None

    def _put_with_origin(self, fork: Fork, condition: Condition | None) -> None:
        item = _fork(fork, self._retention)
        origin = item | {"pk": f"origin#{fork.org_id}#{fork.child}", "sk": "origin"}
        transact([("Put", self._table.put_action(item, condition)), ("Put", self._table.put_action(origin))])

    def _all(self, condition: Condition) -> list[Item]:
        items, start = self._table.query(condition)
        while start:
            more, start = self._table.query(condition, start=start)
            items += more
        return items


def item(checkpoint: Checkpoint, retention: int) -> Item:
    """Return the item of a checkpoint that is stored for `retention` seconds."""
    key = {"pk": run_partition(checkpoint.org_id, checkpoint.run), "sk": _position(checkpoint.epoch, checkpoint.seq)}
    return key | _members(checkpoint) | {"expires_at": checkpoint.created_at // 1000 + retention}


def _fork(fork: Fork, retention: int) -> Item:
    masked = fork.model_copy(update={"system_prompt": redact(fork.system_prompt)})
    return _fork_key(fork) | _members(masked) | {"expires_at": fork.created_at // 1000 + retention}


def _fork_key(fork: Fork) -> dict[str, str]:
    return {"pk": f"forks#{fork.org_id}#{fork.run}", "sk": f"{_number(fork.epoch, fork.seq)}#{fork.id}"}


def _members(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def _position(epoch: int, seq: int) -> str:
    return f"checkpoint#{_number(epoch, seq)}"


def _number(epoch: int, seq: int) -> str:
    return f"{epoch:04d}#{seq:010d}"
