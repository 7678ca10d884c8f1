"""The event log of a run: what an event is, and which events an answer of the upstream gives rise to.

Everything live is a view of this log. The upstream gives its logs no id, so their position is their identity: every
poll reads the end of what is stored again and compares it. Nothing here reads a clock or a table.
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

# A stored event's JSON stays under this many bytes: 95 of them fit into one DynamoDB transaction, and one into one
# WebSocket frame.
MAX_DATA_BYTES = 24 * 1024

# How far back an entry may be filled in late. Half of what one poll reads, so that each poll gets on.
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
        """The cursor that stands for this event: `{epoch}-{seq}`."""
        return f"{self.epoch}-{self.seq}"


@dataclass(frozen=True)
class Position:
    """How far a run's log has been written."""

    epoch: int = 0
    seq: int = 0
    """The last event's number."""
    log_count: int = 0
    """How many upstream log entries this epoch has; the next one's offset."""
    tail: tuple[str, ...] = ()
    """Fingerprints of the last entries: those that are read again, because they may still be filled in."""

    @property
    def skip(self) -> int:
        """The offset to read the upstream's logs from."""
        return self.log_count - len(self.tail)


class Writer:
    """Number new events of one run, from a position on."""

    def __init__(self, position: Position, *, run_id: int | None, now: float) -> None:
        self.position = position
        self.events: list[Event] = []
        self.run_id = run_id
        self._ts = timestamp(now)

    def add(self, type_: str, data: Mapping[str, Any]) -> None:
        """Append an event."""
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
        """Append what an answer to `logs(skip=position.skip)` adds; tell whether there is more to read at once.

        An entry that was stored and now reads differently was filled in late when it is still the same step, and is a
        rewritten history when it is another one, or gone; the latter begins a new epoch, to be read from its start.
        """
        known, skip = self.position.tail, self.position.skip
        read = tuple(_fingerprint(log) for log in answer.logs)
        if len(read) < len(known) or any(map(_is_other_step, known, read)):
            self.position = Position(epoch=self.position.epoch + 1, seq=self.position.seq)
            self.add("stream.reset", {"reason": "The upstream rewrote the history of this run."})
            return True
        for offset, log in enumerate(answer.logs):
            if offset >= len(known):
                self.add("run.log", _entry(log, skip + offset))
            elif read[offset] != known[offset]:
                self.add("run.log_updated", _entry(log, skip + offset))
        log_count = skip + len(read)
        self.position = replace(self.position, log_count=log_count, tail=read[-_reread(answer.logs) :])
        return len(read) > len(known) and (answer.total_logs is None or answer.total_logs > log_count)

    def status(self, before: Status, word_before: str | None, after: Status, word: str | None, turn: int) -> None:
        """Append what a change of status means: a start, a change, or the turn's one terminal event."""
        if after.terminal:
            return  # `ended` tells it, once the logs are whole
        if after is Status.RUNNING and before in (Status.QUEUED, Status.LAUNCHING, Status.UNKNOWN) and turn:
            self.add("run.started", {"turn": turn, "upstream_status": word})
        elif (after, word) != (before, word_before):
            self.add("run.status_changed", {"from": before, "to": after, "upstream_status": word})

    def ended(self, status: Status, data: Mapping[str, Any]) -> None:
        """Append the terminal event of a turn."""
        self.add(_TERMINAL_TYPES[status], data)


def timestamp(now: float) -> str:
    """Format epoch seconds as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shorten(text: str | None, limit: int) -> tuple[str | None, bool]:
    """Cut a text to `limit` characters; tell whether it was cut."""
    if text is None or len(text) <= limit:
        return text, False
    return text[:limit], True


def is_terminal(type_: str) -> bool:
    """Whether an event of this type ends a turn."""
    return type_ in _TERMINAL_TYPES.values()


def _entry(log: AgentRunLog, offset: int) -> dict[str, Any]:
    content: dict[str, Any] = redact(log.model_dump(mode="json"))
    data = {"position": offset, "log": content}
    if len(json.dumps(data)) <= MAX_DATA_BYTES:
        return data
    # The whole entry stays readable upstream at its position; here its large fields become previews.
    limit = MAX_DATA_BYTES // (2 * max(1, len(content)))
    for name, value in content.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if len(json.dumps(text)) > limit:
            content[name] = _beginning(text, limit)
    return data | {"truncated": True}


def _beginning(text: str, limit: int) -> str:
    """Cut a text so that its JSON, in which a character may take twelve bytes, has at most `limit` of them."""
    text = text[:limit]
    while len(json.dumps(text)) > limit:
        text = text[: len(text) // 2]
    return text


def _step(log: AgentRunLog) -> str:
    """Name what does not change while an entry is filled in."""
    return _digest([log.created_at, log.message_type, log.tool_name, log.tool_input])


def _fingerprint(log: AgentRunLog) -> str:
    return f"{_step(log)}:{_digest(log.model_dump(mode='json'))}"


def _is_other_step(known: str, read: str) -> bool:
    return known.split(":")[0] != read.split(":")[0]


def _reread(logs: Sequence[AgentRunLog]) -> int:
    """Count the last entries to read again: from the first action without its output on, and always the very last."""
    recent = logs[-MAX_TAIL:]
    unfinished = (offset for offset, log in enumerate(recent) if log.tool_name and log.tool_output is None)
    return len(recent) - min(next(unfinished, len(recent)), max(0, len(recent) - 1))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
