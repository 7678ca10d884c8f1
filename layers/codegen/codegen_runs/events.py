"""The event log of a run: the events, and which of them an answer of the upstream adds.

All live views read this log. The upstream's log entries have no id, so their position identifies them: each poll reads
the last stored entries again and compares them. Nothing in this module reads a clock or a table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
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

# How many open entries before these are remembered, the newest ones. A watch stores 45 bytes for each.
MAX_OPEN = 100

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
    imprint: str | None = None
    """The imprint of the log entry that the event contains: `{position}:{fingerprint}`. Viewers do not get it."""

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
    open: tuple[str, ...] = ()
    """Imprints of actions without output that come before these, in the order in which they are looked at next."""

    @property
    def skip(self) -> int:
        """The offset to read the upstream's logs from."""
        return self.log_count - len(self.tail)

    @property
    def known(self) -> dict[int, str]:
        """The fingerprints in `tail` and `open`, by position."""
        return fingerprints(self.open) | dict(enumerate(self.tail, self.skip))

    def after(self, read: Mapping[int, str]) -> Position:
        """Return the position after entries were read, given their fingerprints by position."""
        known = {**self.known, **read}
        log_count = max(self.log_count, max(read, default=-1) + 1)
        start = log_count
        for at in range(log_count - 1, max(0, log_count - MAX_TAIL) - 1, -1):
            if at not in known:
                break
            if at == log_count - 1 or _is_open(known[at]):
                start = at
        # Entries that were just read are looked at again after the others.
        order = [at for at in fingerprints(self.open) if at not in read] + list(read)
        still_open = [at for at in order if at < start and _is_open(known[at])]
        newest = set(sorted(still_open)[-MAX_OPEN:])
        return replace(
            self,
            log_count=log_count,
            tail=tuple(known[at] for at in range(start, log_count)),
            open=tuple(_imprint(at, known[at]) for at in still_open if at in newest),
        )


class Writer:
    """Collects and numbers the new events of one run, from a position on."""

    def __init__(self, position: Position, *, run_id: int | None, now: float) -> None:
        self.position = position
        self.events: list[Event] = []
        self.run_id = run_id
        self.read_to = position.log_count
        """The position after the last entry that `logs` has compared."""
        self._ts = timestamp(now)

    def add(self, type_: str, data: Mapping[str, Any], imprint: str | None = None) -> None:
        """Append an event, with the secrets in its data masked. Log entries have an imprint, see `Event`."""
        self.position = replace(self.position, seq=self.position.seq + 1)
        event = Event(
            epoch=self.position.epoch,
            seq=self.position.seq,
            type=type_,
            run_id=self.run_id,
            ts=self._ts,
            data=redact(dict(data)),
            imprint=imprint,
        )
        self.events.append(event)

    def logs(
        self,
        answer: AgentRunLogs,
        *,
        skip: int | None = None,
        known: Mapping[int, str] | None = None,
        most: int | None = None,
    ) -> bool:
        """Append the events for an answer to `logs(skip=skip)`; return whether to read more entries at once.

        A known entry that is still the same step but has changed was filled in late. If it is another step or is
        missing, the history was rewritten: a new epoch begins, and the log is read again from its start.

        Args:
            answer: The entries, and the number of all entries.
            skip: The position of the first entry; `position.skip` by default.
            known: Fingerprints of earlier entries by position, besides those that the position has.
            most: The most events to append. The entries after them are not compared.
        """
        before = self.position
        skip = before.skip if skip is None else skip
        stored = {**(known or {}), **before.known}
        read = {at: _fingerprint(log) for at, log in enumerate(answer.logs, skip)}
        is_rewritten = any(at in stored and _is_other_step(stored[at], read[at]) for at in read)
        if is_rewritten or _has_shrunk(before.log_count, skip, answer):
            self.position = Position(epoch=before.epoch + 1, seq=before.seq)
            self.read_to = 0
            self.add("stream.reset", {"reason": "The upstream rewrote the history of this run."})
            return True
        compared: dict[int, str] = {}
        added = 0
        for (at, fingerprint), log in zip(read.items(), answer.logs, strict=True):
            if added == most:
                break
            compared[at] = fingerprint
            if at >= before.log_count or (at in stored and _has_changed(stored[at], fingerprint)):
                type_ = "run.log" if at >= before.log_count else "run.log_updated"
                self.add(type_, _entry(log, at), _imprint(at, fingerprint))
                added += 1
        self.position = replace(self.position.after(compared), seq=self.position.seq)
        self.read_to = skip + len(compared)
        return len(compared) < len(read) or self._more(before, answer.total_logs)

    def _more(self, before: Position, total: int | None) -> bool:
        """Return whether there may be entries after those that were read, which is so if there were new ones.

        An answer that ends before the last known entry shows by its total whether there are new ones.
        """
        if self.read_to > before.log_count:
            return total is None or total > self.position.log_count
        return self.read_to < before.log_count and total is not None and total > before.log_count

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
    return _digest([log.created_at and log.created_at.text, log.message_type, log.tool_name, log.tool_input])


def fingerprints(imprints: Iterable[str]) -> dict[int, str]:
    """Return the fingerprints of entries by position, from imprints. The last imprint of an entry counts."""
    split = (imprint.partition(":") for imprint in imprints)
    return {int(position): fingerprint for position, _, fingerprint in split}


def _has_shrunk(log_count: int, skip: int, answer: AgentRunLogs) -> bool:
    """Return whether known entries are gone. An answer may have fewer entries than requested, but it has a few."""
    expected = log_count - skip
    is_short = len(answer.logs) < expected and answer.total_logs is not None and answer.total_logs < log_count
    return is_short or len(answer.logs) < min(expected, MAX_TAIL)


def _imprint(position: int, fingerprint: str) -> str:
    return f"{position}:{fingerprint}"


def _fingerprint(log: AgentRunLog) -> str:
    """Return a hash of the step and of the whole entry, and whether the entry is an action without output."""
    is_open = log.tool_name and log.tool_output is None
    return f"{_step(log)}:{_digest(log.model_dump(mode='json'))}" + (":open" if is_open else "")


def _is_open(fingerprint: str) -> bool:
    return fingerprint.endswith(":open")


def _is_other_step(stored: str, read: str) -> bool:
    return stored.split(":")[0] != read.split(":")[0]


def _has_changed(stored: str, read: str) -> bool:
    return stored.split(":")[1] != read.split(":")[1]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
