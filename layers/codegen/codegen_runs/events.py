"""The event log of a run: the events, and which of them an answer of the upstream adds.

All live views read this log. The upstream's log entries have no id, so their position identifies them: each poll reads
the last stored entries again and compares them. Nothing in this module reads a clock or a table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from codegen_api import AgentRunLog, AgentRunLogs
from codegen_runs.redaction import redact
from codegen_runs.statuses import Status

VERSION = 1

# The most bytes of the JSON of a log entry in an event. 95 such events fit into one DynamoDB transaction (4 MB), and
# one fits into one WebSocket frame (32 KB).
MAX_DATA_BYTES = 24 * 1024

# How many of the last entries a poll reads again, at most, because they may be filled in late. This is half of what one
# poll reads, so every poll also reads new entries.
MAX_TAIL = 45

_TERMINAL_TYPES = {
    Status.COMPLETED: "run.completed",
    Status.INCOMPLETE: "run.incomplete",
    Status.FAILED: "run.failed",
    Status.CANCELLED: "run.cancelled",
    Status.TIMED_OUT: "run.timed_out",
}


class Event(BaseModel):
    """One entry of a run's event log."""

    epoch: int
    seq: int
    type: str
    run_id: int | None = None
    """The upstream's run id; None before the run is launched."""
    ts: str
    v: int = VERSION
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """The id of the event, which is also its cursor: `{epoch}-{seq}`."""
        return f"{self.epoch}-{self.seq}"


@dataclass(frozen=True)
class Position:
    """How far a run's log has been written."""

    epoch: int = 0
    seq: int = 0
    """The number of the last event."""
    log_count: int = 0
    """The number of upstream log entries in this epoch, which is the offset of the next entry."""
    tail: tuple[str, ...] = ()
    """Fingerprints of the last entries. They are read again, because they may still be filled in."""

    @property
    def skip(self) -> int:
        """The offset to read the upstream's logs from."""
        return self.log_count - len(self.tail)


class Writer:
    """Collects and numbers the new events of one run, from a position on."""

    def __init__(self, position: Position, *, run_id: int | None, now: float) -> None:
        self.position = position
        self.events: list[Event] = []
        self.run_id = run_id
        self._ts = timestamp(now)

    def add(self, type_: str, data: Mapping[str, Any]) -> None:
        """Append an event, with the secrets in its data masked."""
        self.position = replace(self.position, seq=self.position.seq + 1)
        event = Event(
            epoch=self.position.epoch,
            seq=self.position.seq,
            type=type_,
            run_id=self.run_id,
            ts=self._ts,
            data=redact(dict(data)),
        )
        self.events.append(event)

    def logs(self, answer: AgentRunLogs) -> bool:
        """Append the events for an answer to `logs(skip=position.skip)`; return whether to read the next page at once.

        A stored entry that is still the same step but has changed was filled in late. If it is another step or is
        missing, the history was rewritten: a new epoch begins, and the log is read again from its start.
        """
        stored, skip = self.position.tail, self.position.skip
        read = tuple(_fingerprint(log) for log in answer.logs)
        if len(read) < len(stored) or any(map(_is_other_step, stored, read)):
            self.position = Position(epoch=self.position.epoch + 1, seq=self.position.seq)
            self.add("stream.reset", {"reason": "The upstream rewrote the history of this run."})
            return True
        for offset, log in enumerate(answer.logs):
            if offset >= len(stored):
                self.add("run.log", _entry(log, skip + offset))
            elif read[offset] != stored[offset]:
                self.add("run.log_updated", _entry(log, skip + offset))
        log_count = skip + len(read)
        self.position = replace(self.position, log_count=log_count, tail=read[-_reread(answer.logs) :])
        return len(read) > len(stored) and (answer.total_logs is None or answer.total_logs > log_count)

    def status(
        self, before: Status, upstream_before: str | None, after: Status, upstream_after: str | None, turn: int
    ) -> None:
        """Append the event for a change of status, if it changed; nothing for a terminal status, see `ended`.

        Args:
            before: The status so far.
            upstream_before: The upstream's status so far.
            after: The status now.
            upstream_after: The upstream's status now.
            turn: The run's turn.
        """
        if after.terminal:
            return  # The terminal event is the last of its turn: `ended` adds it after the last log entry.
        if after is Status.RUNNING and before in (Status.QUEUED, Status.LAUNCHING, Status.UNKNOWN):
            self.add("run.started", {"turn": turn, "upstream_status": upstream_after})
        elif (after, upstream_after) != (before, upstream_before):
            self.add("run.status_changed", {"from": before, "to": after, "upstream_status": upstream_after})

    def ended(self, status: Status, data: Mapping[str, Any]) -> None:
        """Append the terminal event of a turn. `status` must be terminal."""
        self.add(_TERMINAL_TYPES[status], data)


def timestamp(now: float) -> str:
    """Format epoch seconds as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shorten(text: str | None, limit: int) -> tuple[str | None, bool]:
    """Cut a text to `limit` characters; return it and whether it was cut."""
    if text is None or len(text) <= limit:
        return text, False
    return text[:limit], True


def is_terminal(type_: str) -> bool:
    """Return whether an event of this type ends a turn."""
    return type_ in _TERMINAL_TYPES.values()


def _entry(log: AgentRunLog, offset: int) -> dict[str, Any]:
    content: dict[str, Any] = redact(log.model_dump(mode="json"))
    data = {"position": offset, "log": content}
    if len(json.dumps(data)) <= MAX_DATA_BYTES:
        return data
    # The upstream still returns the whole entry at this position. Here, its large fields become previews.
    limit = MAX_DATA_BYTES // (2 * max(1, len(content)))
    for name, value in content.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if len(json.dumps(text)) > limit:
            content[name] = _beginning(text, limit)
    return data | {"truncated": True}


def _beginning(text: str, limit: int) -> str:
    """Cut a text so that its JSON has at most `limit` bytes. In JSON a character may need twelve bytes."""
    text = text[:limit]
    while len(json.dumps(text)) > limit:
        text = text[: len(text) // 2]
    return text


def _step(log: AgentRunLog) -> str:
    """Return a hash of the fields that stay the same while an entry is filled in."""
    return _digest([log.created_at, log.message_type, log.tool_name, log.tool_input])


def _fingerprint(log: AgentRunLog) -> str:
    return f"{_step(log)}:{_digest(log.model_dump(mode='json'))}"


def _is_other_step(stored: str, read: str) -> bool:
    return stored.split(":")[0] != read.split(":")[0]


def _reread(logs: Sequence[AgentRunLog]) -> int:
    """Return how many of the last entries to read again: from the first action without output on, at least the last."""
    recent = logs[-MAX_TAIL:]
    unfinished = (offset for offset, log in enumerate(recent) if log.tool_name and log.tool_output is None)
    return len(recent) - min(next(unfinished, len(recent)), max(0, len(recent) - 1))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
