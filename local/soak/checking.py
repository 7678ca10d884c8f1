"""Which promises a history breaks. Nothing here starts or reads anything: a history goes in, violations come out."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING

from local.soak.histories import History, Log

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from local.soak.histories import Event, Fault, Load, Request, View

UPSTREAM_CODES = frozenset({"upstream_failed", "upstream_unavailable", "upstream_timeout", "identity_unconfirmed"})
"""Codes of 5xx answers that report a failure of the upstream."""

# The answers of API Gateway when a function, or the authorizer, ends with an error. Our own error has the status 500.
_FUNCTION_FAILED = frozenset({(502, "internal_error"), (502, "authorizer_failed")})

TERMINAL_TYPES = frozenset({"run.completed", "run.incomplete", "run.failed", "run.cancelled", "run.timed_out"})
SETTLED = frozenset({"completed", "failed", "cancelled"})

# A process may allocate this much (MB) after its first events, and this share of what it then has.
_GROWTH_MB = 12.0
_GROWTH_SHARE = 0.15
# With fewer samples the memory of a process says nothing.
_ENOUGH_SAMPLES = 8
# The answers of API Gateway when a function, or the authorizer, takes 29 seconds, and what a client reports that got no
# answer in 40 seconds.
_NO_ANSWER_IN_TIME = frozenset(
    {(504, "timeout"), (502, "authorizer_failed"), (0, "ConnectTimeout"), (0, "ReadTimeout"), (0, "WriteTimeout")}
)
# A request that the machine did not answer in time was late by the load if, while it ran, so many threads on average
# competed for each core. Among these may be a request that hangs by a fault of ours, so they must be rare.
OVERLOADED = 3.0
_MOST_LATE = 0.01
# API Gateway waits for 29 seconds.
_GATEWAY_SECONDS = 28.0
# A request ends a moment after the function that served it was killed.
_SLACK = 0.5


@dataclass(frozen=True)
class Violation:
    """A promise that was broken, and what shows it."""

    promise: str
    evidence: str


def check(history: History) -> list[Violation]:
    """Return all violations."""
    return [
        *own_failures(history),
        *overload(history),
        *wrong_logs(history),
        *wrong_views(history),
        *wrong_launches(history),
        *unsettled(history),
        *lost_messages(history),
        *wrong_audit(history),
        *growing(history),
    ]


def own_failures(history: History) -> Iterator[Violation]:
    """Yield each 5xx that the deployment caused itself.

    A 5xx with a code of the upstream is the upstream's, and trouble there explains that a token could not be checked. A
    function that was killed explains one answer of API Gateway that a function failed, and a fault of the storage
    explains answers that say so. The load of the machine explains that there was no answer in time: see `late`.
    """
    overloaded = {*late(history)}
    kills = [fault for fault in history.faults if fault.kind in ("killed", "crashed")]
    storage = [fault for fault in history.faults if fault.kind in ("throttled", "lost_answer")]
    for request in history.requests:
        if 0 < request.status < 500 or request.code in UPSTREAM_CODES or request in overloaded:
            continue
        if request.code == "authorizer_failed" and _during(request, history.troubles):
            continue
        if request.code in ("storage_unavailable", "audit_unavailable") and _during(request, storage):
            continue
        if (request.status, request.code) in _FUNCTION_FAILED and (kill := _during(request, kills)):
            kills.remove(kill)
            continue
        yield Violation("no 5xx of our own", f"{request.name}: {request.status} {request.code or 'without a code'}")


def late(history: History) -> list[Request]:
    """Return the requests that got no answer in time because the machine was overloaded.

    Only the time that API Gateway allows can be over, not sooner, and the machine must have been overloaded all that
    time on average. Every other 504, and every other 5xx, stays a failure of ours.
    """
    return [
        request
        for request in history.requests
        if (request.status, request.code) in _NO_ANSWER_IN_TIME
        and request.ended - request.began >= _GATEWAY_SECONDS
        and _load(request, history.loads) >= OVERLOADED
    ]


def _load(request: Request, loads: Sequence[Load]) -> float:
    """Return the mean load of the machine while a request ran; 0 if there is no sample."""
    samples = [load.runnable for load in loads if request.began <= load.at <= request.ended]
    return fmean(samples) if samples else 0.0


def overload(history: History) -> Iterator[Violation]:
    """Yield a violation if so many requests were late by the load that the soak does not prove anything."""
    count = len(late(history))
    if count > max(1, _MOST_LATE * len(history.requests)):
        evidence = f"{count} of {len(history.requests)} requests were not answered in time. Use a longer --pause."
        yield Violation("the machine keeps up with the load", evidence)


def _during(request: Request, faults: Sequence[Fault]) -> Fault | None:
    return next((fault for fault in faults if request.began <= fault.at <= request.ended + _SLACK), None)


def wrong_logs(history: History) -> Iterator[Violation]:
    """Yield each event log that has gaps or repetitions, or differs from the upstream's history."""
    upstream = {run.run: run for run in history.upstream}
    accepted = {*history.started.values(), *(multi_run.id for multi_run in history.multi_runs)}
    for run_id in sorted(accepted - {log.run for log in history.logs}):
        yield Violation("an accepted run has a log", run_id)
    for log in history.logs:
        numbers = [event.seq for event in log.events]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation("events are numbered without gaps", f"{log.key}: {_difference(numbers)}")
        run = upstream.get(log.run)
        if run is None:
            continue
        positions = [event.position for event in log.events if event.type == "run.log"]
        if positions != list(range(run.entries)):
            evidence = f"{log.key}: positions {positions}, Codegen has {run.entries} entries"
            yield Violation("each log entry is one event", evidence)
        ends = [event.type for event in log.events if event.type in TERMINAL_TYPES]
        if ends != [run.terminal]:
            yield Violation("a run ends once, as at Codegen", f"{log.key}: {ends}, at Codegen {run.terminal}")


def wrong_views(history: History) -> Iterator[Violation]:
    """Yield each viewer that missed an event, saw one twice or in the wrong order, or never got the end."""
    logs = {log.run: log for log in history.logs}
    for view in history.views:
        if log := logs.get(view.run):
            yield from _compare(view, log)
        if not view.ended:
            yield Violation("a viewer gets the end", f"{view.viewer}, {view.run}")


def _compare(view: View, log: Log) -> Iterator[Violation]:
    who = f"{view.viewer}, {view.run}"
    seen, written = _ids(view.events), _ids(log.events)
    if twice := [id_ for id_, count in Counter(seen).items() if count > 1]:
        yield Violation("a viewer sees no event twice", f"{who}: {twice}")
    if missing := [id_ for id_ in written if id_ not in seen]:
        yield Violation("a viewer misses no event", f"{who}: {missing}")
    if strange := [id_ for id_ in seen if id_ not in written]:
        yield Violation("a viewer sees only events of the log", f"{who}: {strange}")
    if any(before.seq > after.seq for before, after in pairwise(view.events)):
        yield Violation("a viewer sees events in order", f"{who}: {seen}")
    types = {event.id: event.type for event in log.events}
    if changed := [event.id for event in view.events if types.get(event.id, event.type) != event.type]:
        yield Violation("all viewers see the same events", f"{who}: {changed}")


def _ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]


def wrong_launches(history: History) -> Iterator[Violation]:
    """Yield each request that started more than one run at the upstream, or none although it was accepted."""
    launched = Counter(run.key for run in history.upstream)
    for key, count in launched.items():
        if count > 1:
            yield Violation("nothing is launched twice", f"{key}: {count} runs")
    runs = {run.key: run.run for run in history.upstream}
    for key, run in history.started.items():
        if key not in runs:
            yield Violation("an accepted run exists at Codegen", f"{key}: run {run}")
        elif launched[key] == 1 and runs[key] != run:
            yield Violation("an accepted run exists at Codegen", f"{key}: answered {run}, at Codegen {runs[key]}")


def unsettled(history: History) -> Iterator[Violation]:
    """Yield each multi-run without an end."""
    for multi_run in history.multi_runs:
        if multi_run.status not in SETTLED:
            yield Violation("every multi-run settles", f"{multi_run.id}: {multi_run.status}")


def lost_messages(history: History) -> Iterator[Violation]:
    """Yield each message that is neither at the receiver nor in the queue for undelivered messages."""
    there = {*history.received, *history.undelivered}
    for log in history.logs:
        for event in log.events:
            id_ = f"msg_{history.org_id}_{log.key}_{event.id}"
            if event.type in history.announced and id_ not in there:
                yield Violation("every message arrives, or is kept as undelivered", f"{id_}, {event.type}")


def wrong_audit(history: History) -> Iterator[Violation]:
    """Yield each break of the audit trail, and each act that is not in it.

    A function that was killed leaves an act without an outcome, but none without an attempt.
    """
    previous = "0" * 64
    for number, entry in enumerate(reversed(history.audit), start=1):
        content = {name: value for name, value in entry.items() if name != "hash"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        is_linked = (entry["sequence"], entry["previous"]) == (number, previous)
        if not is_linked or entry["hash"] != hashlib.sha256(text.encode()).hexdigest():
            yield Violation("the audit trail is intact", f"entry {number}: {text}")
        previous = entry["hash"]
    attempted = {entry["target"] for entry in history.audit if entry["outcome"] == "attempted"}
    for agent in history.agents:
        if agent not in attempted:
            yield Violation("every act is in the audit trail", f"the creation of the agent {agent}")


def growing(history: History) -> Iterator[Violation]:
    """Yield each process whose memory grows: the last quarter of its samples against the second."""
    for memory in history.memory:
        quarter = len(memory.samples) // 4
        if len(memory.samples) < _ENOUGH_SAMPLES:
            continue
        before, after = median(memory.samples[quarter : 2 * quarter]), median(memory.samples[-quarter:])
        if after > before * (1 + _GROWTH_SHARE) + _GROWTH_MB:
            yield Violation("memory stays flat", f"{memory.process}: {before:.0f} MB, later {after:.0f} MB")


def _difference(numbers: Sequence[int]) -> str:
    expected = range(1, len(numbers) + 1)
    return next((f"{found} at {number}" for found, number in zip(numbers, expected, strict=True) if found != number))
