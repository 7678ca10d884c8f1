"""The outbox: events that webhook endpoints may want, in the runs table, until they have been handed to the queue.

| pk       | sk                                  | item          |
|----------|-------------------------------------|---------------|
| `outbox` | `{time}#{org}#{key}#{epoch}-{seq}`  | the `Notice`  |

A row is written in the transaction that writes its event, so no event is missed. It is deleted when the queue has the
messages that it leads to. If the poller dies in between, they are sent again, with the same ids.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from codegen_runs.events import Event
from codegen_runs.storage.table import Condition, Item, Table

ENDS = frozenset(
    {
        *("run.completed", "run.incomplete", "run.failed", "run.cancelled", "run.timed_out"),
        *("multi_run.completed", "multi_run.failed", "multi_run.cancelled"),
    }
)
NEEDS_ATTENTION = frozenset({"run.cancel_unconfirmed", "multi_run.degraded", "budget.warning"})
ANNOUNCED = ENDS | NEEDS_ATTENTION | {"multi_run.picked"}
"""The types of events that are sent to webhook endpoints. Each has at most two of them in one write."""

MOST_PER_WRITE = 2

# A row that nobody could hand over is deleted after a week.
_RETENTION = 7 * 86_400

# The members of an event's data that a message has: numbers and short words, never what an agent wrote.
_MEMBERS = frozenset(
    {
        *("turn", "candidate", "source", "usable_count", "quorum", "requested_by"),
        *("budget", "scope", "limit", "used", "resets_at"),
    }
)


class Notice(BaseModel):
    """An event that is to be announced. Times are epoch milliseconds."""

    model_config = ConfigDict(frozen=True)

    org_id: int
    key: str
    """The key of the run, or the id of the multi-run."""
    event_id: str
    type: str
    run_id: int | None = None
    ts: str
    at: int
    data: dict[str, Any]

    @property
    def message_id(self) -> str:
        """The id of the message about the event. It is the same on every try, so that a receiver can skip repeats."""
        return f"msg_{self.org_id}_{self.key}_{self.event_id}"


class Outbox:
    """The notices that wait, oldest first. Every method may raise `StorageUnavailable`."""

    def __init__(self, name: str) -> None:
        self._table = Table(name)

    def waiting(self, limit: int) -> list[Notice]:
        """List the oldest notices."""
        items, _ = self._table.query(Condition("#pk = :pk", {"pk": "outbox"}), limit=limit)
        return [Notice.model_validate(item | {"data": json.loads(item["data"])}) for item in items]

    def remove(self, notice: Notice) -> None:
        """Remove a notice that has been handed over."""
        self._table.delete(_key(notice))


def row(org_id: int, key: str, event: Event) -> Item | None:
    """Return the row of an event; None for a type that is not announced."""
    if event.type not in ANNOUNCED:
        return None
    at = datetime.fromisoformat(event.ts).timestamp()
    notice = Notice(
        org_id=org_id,
        key=key,
        event_id=event.id,
        type=event.type,
        run_id=event.run_id,
        ts=event.ts,
        at=round(at * 1000),
        data={name: value for name, value in event.data.items() if name in _MEMBERS},
    )
    item = _key(notice) | notice.model_dump(mode="json", exclude_none=True)
    return item | {"data": json.dumps(notice.data), "expires_at": int(at) + _RETENTION}


def _key(notice: Notice) -> dict[str, str]:
    return {"pk": "outbox", "sk": f"{notice.at:014}#{notice.org_id}#{notice.key}#{notice.event_id}"}
