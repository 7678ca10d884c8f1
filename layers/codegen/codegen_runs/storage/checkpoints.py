"""Checkpoints of runs, and what was started from them: rows of the runs table, so that one transaction writes them.

| pk                        | sk                           | what                                                      |
|---------------------------|------------------------------|-----------------------------------------------------------|
| `run#{org}#{key}`         | `checkpoint#{epoch}#{seq}`   | one `Checkpoint`                                          |
| `forks#{org}#{key}`       | `{epoch}#{seq}#{fork}`       | a `Fork` of one of the run's checkpoints                  |
| `origin#{org}#{key}`      | `origin`                     | the `Fork` that a run came from                           |

None of them is ever changed but a fork, when it is known which run it became, and none expires: a checkpoint holds what
it was made of, and so outlives the events of its run. A run's own partition is not written by a fork of it.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from codegen_api import Harness
from codegen_runs.prompts import Prompt
from codegen_runs.statuses import Status
from codegen_runs.storage.keys import run_partition
from codegen_runs.storage.table import ABSENT, PRESENT, Condition, Item, Table, transact

_FIRST, _LAST = "checkpoint#", "checkpoint#~"


class Reason(StrEnum):
    """What a checkpoint was made at."""

    START = "start"
    FOLLOW_UP = "follow_up"
    PLAN = "plan"
    PULL_REQUEST = "pull_request"
    END = "end"
    MANUAL = "manual"


class CheckpointAction(StrEnum):
    """What is done with a checkpoint."""

    RESTORE = "restore"
    FORK = "fork"


class Head(BaseModel):
    """The last checkpoint that was made of a run, and how far it goes."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    seq: int
    hash: str
    turn: int
    prompt: int = 0
    """The number of the last prompt that it or one before it holds."""


class AgentVersion(BaseModel):
    """A profile of an agent, as it was when a run was told something with it."""

    model_config = ConfigDict(frozen=True)

    id: str
    version: int


class Checkpoint(BaseModel):
    """A moment of a run, and what was said between the checkpoint before it and this one.

    All that was said until then is what the run's checkpoints up to this one say together. Times are epoch
    milliseconds.
    """

    model_config = ConfigDict(frozen=True)

    org_id: int
    run: str
    """The key of the run."""
    agent_run_id: int
    epoch: int
    seq: int
    """The number of the event `checkpoint.created` that tells of it."""
    turn: int
    reason: Reason
    status: Status
    prompts: tuple[Prompt, ...] = ()
    """What the run was told since the checkpoint before."""
    answer: str | None = None
    """What the turn came to, at its end."""
    answer_truncated: bool = False
    summary: str | None = None
    agent: AgentVersion | None = None
    repo_id: int | None = None
    model: str | None = None
    agent_type: Harness | None = None
    tags: tuple[str, ...] = ()
    created_at: int
    created_by: str | None = None
    """The caller's id, if it was made by hand."""
    parent: str | None = None
    """The hash of the checkpoint before it."""
    hash: str = ""
    """Of all the rest, and so by `parent` of all that was said before."""

    @property
    def id(self) -> str:
        """The name by which callers ask for it: `{run}.{epoch}-{seq}`."""
        return f"{self.run}.{self.epoch}-{self.seq}"

    def sealed(self) -> Checkpoint:
        """Return it with its hash."""
        return self.model_copy(update={"hash": self.digest})

    @property
    def digest(self) -> str:
        """The hash that it should have."""
        content = self.model_dump(mode="json", exclude_none=True, exclude={"hash"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Fork(BaseModel):
    """A run that was started from a checkpoint of another one. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    id: str
    """What the new run's metadata has as `client_run_id`. Later ones sort after earlier ones."""
    action: CheckpointAction
    run: str
    """The key of the run that was forked."""
    agent_run_id: int
    epoch: int
    seq: int
    turn: int
    hash: str
    """Of the checkpoint."""
    modified: tuple[str, ...] = ()
    """What was given anew, by the names of the request."""
    system_prompt: str | None = None
    """What the new run was told besides, if that was not what the agent's profile says."""
    child: str | None = None
    """The key of the new run; None as long as nobody knows whether there is one."""
    created_at: int
    created_by: str

    @property
    def checkpoint_id(self) -> str:
        """The checkpoint that it was made of."""
        return f"{self.run}.{self.epoch}-{self.seq}"


class Checkpoints:
    """The checkpoints and forks in the runs table. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def get(self, org_id: int, run: str, epoch: int, seq: int) -> Checkpoint | None:
        """Read one checkpoint."""
        item = self._table.get({"pk": run_partition(org_id, run), "sk": _position(epoch, seq)})
        return Checkpoint.model_validate(item) if item else None

    def newest(
        self, org_id: int, run: str, limit: int, before: str | None = None
    ) -> tuple[list[Checkpoint], str | None]:
        """List checkpoints of a run, newest first, from below a position on; and the position to go on from."""
        pk = run_partition(org_id, run)
        condition = Condition("#pk = :pk AND #sk BETWEEN :first AND :last", {"pk": pk, "first": _FIRST, "last": _LAST})
        start: Item | None = {"pk": pk, "sk": before} if before else None
        items, following = self._table.query(condition, limit=limit, newest_first=True, start=start)
        return [Checkpoint.model_validate(item) for item in items], str(following["sk"]) if following else None

    def until(self, checkpoint: Checkpoint) -> list[Checkpoint]:
        """List the checkpoints of a run up to one, which is the last of them."""
        last = _position(checkpoint.epoch, checkpoint.seq)
        pk = run_partition(checkpoint.org_id, checkpoint.run)
        condition = Condition("#pk = :pk AND #sk BETWEEN :first AND :last", {"pk": pk, "first": _FIRST, "last": last})
        return [Checkpoint.model_validate(item) for item in self._all(condition)]

    def add_fork(self, fork: Fork) -> None:
        """Store a fork that is about to be started."""
        self._table.put(_fork(fork), ABSENT)

    def settle_fork(self, fork: Fork, child: str) -> Fork:
        """Store which run a fork became."""
        settled = fork.model_copy(update={"child": child})
        item = _fork(settled)
        origin = item | {"pk": f"origin#{fork.org_id}#{child}", "sk": "origin"}
        transact([("Put", self._table.put_action(item, PRESENT)), ("Put", self._table.put_action(origin))])
        return settled

    def remove_fork(self, fork: Fork) -> None:
        """Forget a fork that was not started."""
        self._table.delete(_fork_key(fork))

    def forks(self, org_id: int, run: str, limit: int, of: Checkpoint | None = None) -> list[Fork]:
        """List what was started from the checkpoints of a run, or from one of them, in their order and oldest first."""
        condition = Condition("#pk = :pk", {"pk": f"forks#{org_id}#{run}"})
        if of:
            begins = {**condition.values, "of": _number(of.epoch, of.seq)}
            condition = Condition("#pk = :pk AND begins_with(#sk, :of)", begins)
        items, _ = self._table.query(condition, limit=limit)
        return [Fork.model_validate(item) for item in items]

    def origin(self, org_id: int, run: str) -> Fork | None:
        """Read what a run came from; None for a run that came from no other."""
        item = self._table.get({"pk": f"origin#{org_id}#{run}", "sk": "origin"})
        return Fork.model_validate(item) if item else None

    def _all(self, condition: Condition) -> list[Item]:
        items, start = self._table.query(condition)
        while start:
            more, start = self._table.query(condition, start=start)
            items += more
        return items


def item(checkpoint: Checkpoint) -> Item:
    """Return the row of a checkpoint."""
    key = {"pk": run_partition(checkpoint.org_id, checkpoint.run), "sk": _position(checkpoint.epoch, checkpoint.seq)}
    return key | _members(checkpoint)


def _fork(fork: Fork) -> Item:
    return _fork_key(fork) | _members(fork)


def _fork_key(fork: Fork) -> dict[str, str]:
    return {"pk": f"forks#{fork.org_id}#{fork.run}", "sk": f"{_number(fork.epoch, fork.seq)}#{fork.id}"}


def _members(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def _position(epoch: int, seq: int) -> str:
    return f"checkpoint#{_number(epoch, seq)}"


def _number(epoch: int, seq: int) -> str:
    return f"{epoch:04d}#{seq:010d}"
