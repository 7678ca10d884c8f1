"""What a soak records: plain values, which `checking` reads and tests write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request of the API and its answer. Times are epoch seconds.

    Attributes:
        name: The method and the path.
        status: The status of the answer; 0 without an answer.
        code: The `code` of an error; None for an answer that is no problem.
        began: When it was sent.
        ended: When the answer came.
    """

    name: str
    status: int
    code: str | None
    began: float
    ended: float


@dataclass(frozen=True)
class Event:
    """One event, as far as the check needs it. `position` is that of a log entry."""

    id: str
    seq: int
    type: str
    position: int | None = None


@dataclass(frozen=True)
class View:
    """What one viewer saw of a run, and whether it got the end."""

    viewer: str
    run: str
    events: tuple[Event, ...]
    ended: bool


@dataclass(frozen=True)
class Log:
    """The event log of a run or of a multi-run, read after everything had settled.

    Attributes:
        key: The key of the run, or the id of the multi-run.
        run: The id under which viewers watch it.
        events: All events.
    """

    key: str
    run: str
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Upstream:
    """A run as the upstream knows it after its end.

    Attributes:
        run: Its id there.
        key: What it was started for: the Idempotency-Key of a request, or a candidate or a role in a multi-run.
        entries: The number of entries of its log.
        terminal: The type of the event that its last status leads to; None if it has not ended.
    """

    run: str
    key: str
    entries: int
    terminal: str | None


@dataclass(frozen=True)
class MultiRun:
    """A multi-run that was accepted, and its status at the end."""

    id: str
    status: str


@dataclass(frozen=True)
class Fault:
    """A fault that was injected, at an epoch second, into a function or an operation."""

    kind: str
    target: str
    at: float


@dataclass(frozen=True)
class Load:
    """How many threads of the machine could run for each of its cores, at an epoch second. 1 is a busy machine."""

    at: float
    runnable: float


@dataclass(frozen=True)
class Memory:
    """The memory of one process of a function over time, in MB."""

    process: str
    samples: tuple[float, ...]


@dataclass(frozen=True)
class History:
    """Everything that was recorded.

    Attributes:
        requests: The requests of all callers and viewers.
        views: What the viewers saw.
        logs: The event logs of the runs and multi-runs that were accepted.
        upstream: The runs of the upstream.
        started: The key of each request for a run that was accepted, with the id of the run.
        multi_runs: The multi-runs that were accepted.
        agents: The ids of the agents that were created. Creating one is an act.
        audit: The entries of the audit trail, from the newest to the first.
        announced: The types of events that the endpoint asked for.
        received: The ids of the messages that reached the receiver.
        overlapping: How often a message came while the receiver was still receiving it.
        undelivered: The ids of the messages in the queue for undelivered messages.
        faults: The faults that were injected into the AWS stand-in.
        troubles: The troubles at Codegen.
        memory: The memory of the functions' processes.
        loads: The load of the machine, in the order of time.
    """

    requests: tuple[Request, ...] = ()
    views: tuple[View, ...] = ()
    logs: tuple[Log, ...] = ()
    upstream: tuple[Upstream, ...] = ()
    started: dict[str, str] = field(default_factory=dict)
    multi_runs: tuple[MultiRun, ...] = ()
    agents: tuple[str, ...] = ()
    audit: tuple[dict[str, Any], ...] = ()
    announced: frozenset[str] = frozenset()
    org_id: int = 0
    received: tuple[str, ...] = ()
    overlapping: int = 0
    undelivered: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    troubles: tuple[Fault, ...] = ()
    memory: tuple[Memory, ...] = ()
    loads: tuple[Load, ...] = ()
