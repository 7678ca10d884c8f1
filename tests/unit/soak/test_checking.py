"""The checker of the soak: it passes a good history, and names each broken promise."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from local.soak.checking import check
from local.soak.histories import Event, Fault, History, Load, Log, Memory, MultiRun, Request, Upstream, View

EVENTS = (
    Event("0-1", 1, "run.started"),
    Event("0-2", 2, "run.log", 0),
    Event("0-3", 3, "run.log", 1),
    Event("0-4", 4, "run.completed"),
)
SETTLED = (Event("0-1", 1, "multi_run.started"), Event("0-2", 2, "multi_run.completed"))


def entry(sequence: int, previous: str, **fields: Any) -> dict[str, Any]:
    """Return an entry of an audit trail with its hash."""
    content = {"sequence": sequence, "previous": previous, "target": "soak-2", **fields}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return content | {"hash": hashlib.sha256(text.encode()).hexdigest()}


FIRST = entry(1, "0" * 64, outcome="attempted")
SECOND = entry(2, FIRST["hash"], outcome="succeeded")
THIRD = entry(3, SECOND["hash"], outcome="attempted")

GOOD = History(
    requests=(
        Request("POST agent/run", 200, None, 10.0, 10.2),
        Request("GET runs", 502, "upstream_failed", 11.0, 11.5),
        Request("GET runs", 502, "internal_error", 12.0, 12.5),
        Request("GET runs", 502, "authorizer_failed", 15.0, 15.5),
        Request("GET runs", 503, "storage_unavailable", 13.0, 13.5),
        Request("POST agents", 503, "audit_unavailable", 13.0, 13.5),
        Request("GET runs", 429, "too_many_requests", 14.0, 14.1),
        Request("GET runs", 502, "authorizer_failed", 17.0, 17.6),
        Request("GET runs", 504, "timeout", 120.0, 149.0),
    ),
    views=(View("stream", "100005", EVENTS, ended=True), View("long_poll", "100005", EVENTS, ended=True)),
    logs=(Log("100005", "100005", EVENTS), Log("mr-1", "mr-1", SETTLED)),
    upstream=(Upstream("100005", "soak-1", 2, "run.completed"), Upstream("100006", "mr-1-0", 3, "run.failed")),
    started={"soak-1": "100005"},
    multi_runs=(MultiRun("mr-1", "completed"),),
    agents=("soak-2",),
    audit=(THIRD, SECOND, FIRST),
    announced=frozenset({"run.completed", "multi_run.completed"}),
    org_id=123,
    received=("msg_123_100005_0-4", "msg_123_100005_0-4"),
    undelivered=("msg_123_mr-1_0-2",),
    faults=(Fault("killed", "ListRuns", 12.3), Fault("killed", "Authorize", 15.9), Fault("throttled", "GetItem", 13.2)),
    troubles=(Fault("empty", "users_me", 17.3),),
    loads=tuple(Load(float(at), 1.0 if at < 100 else 4.0) for at in range(200)),
    memory=(Memory("ListRuns 7", (40, 50, 60, 60, 61, 60, 62, 61)), Memory("Poller 8", (10, 200))),
)


def watching(*events: Event, ended: bool = True) -> History:
    return replace(GOOD, views=(View("stream", "100005", events, ended=ended),))


def writing(*events: Event) -> History:
    return replace(GOOD, logs=(Log("100005", "100005", events),), views=())


def asking(status: int, code: str | None = None, at: float = 20.0, seconds: float = 0.1) -> History:
    return replace(GOOD, requests=(*GOOD.requests, Request("GET runs", status, code, at, at + seconds)))


def test_a_good_history_breaks_no_promise() -> None:
    assert check(GOOD) == []


BROKEN: dict[str, tuple[Callable[[], History], str]] = {
    "an event is lost for a viewer": (lambda: watching(*EVENTS[:1], *EVENTS[2:]), "a viewer misses no event"),
    "an event comes twice": (lambda: watching(*EVENTS[:2], *EVENTS[1:]), "a viewer sees no event twice"),
    "events are swapped": (
        lambda: watching(EVENTS[0], EVENTS[2], EVENTS[1], EVENTS[3]),
        "a viewer sees events in order",
    ),
    "an event is made up": (
        lambda: watching(*EVENTS, Event("0-5", 5, "run.log", 2)),
        "a viewer sees only events of the log",
    ),
    "an event is another one": (
        lambda: watching(*EVENTS[:3], Event("0-4", 4, "run.failed")),
        "all viewers see the same events",
    ),
    "a viewer waits for ever": (lambda: watching(*EVENTS, ended=False), "a viewer gets the end"),
    "a log is lost": (lambda: replace(GOOD, logs=GOOD.logs[1:]), "an accepted run has a log"),
    "an event is removed from the log": (
        lambda: writing(*EVENTS[:2], *EVENTS[3:]),
        "events are numbered without gaps",
    ),
    "an entry of Codegen's log is left out": (
        lambda: writing(*EVENTS[:2], Event("0-3", 3, "run.completed")),
        "each log entry is one event",
    ),
    "an entry of Codegen's log is two events": (
        lambda: writing(*EVENTS[:2], Event("0-3", 3, "run.log", 0), Event("0-4", 4, "run.completed")),
        "each log entry is one event",
    ),
    "a run ends twice": (
        lambda: writing(*EVENTS, Event("0-5", 5, "run.failed")),
        "a run ends once, as at Codegen",
    ),
    "a run does not end": (lambda: writing(*EVENTS[:3]), "a run ends once, as at Codegen"),
    "a run is launched twice": (
        lambda: replace(GOOD, upstream=(*GOOD.upstream, Upstream("100007", "soak-1", 2, "run.completed"))),
        "nothing is launched twice",
    ),
    "a candidate is launched twice": (
        lambda: replace(GOOD, upstream=(*GOOD.upstream, Upstream("100007", "mr-1-0", 2, "run.completed"))),
        "nothing is launched twice",
    ),
    "an accepted run is not launched": (
        lambda: replace(GOOD, upstream=GOOD.upstream[1:]),
        "an accepted run exists at Codegen",
    ),
    "an accepted run is another one": (
        lambda: replace(GOOD, started={"soak-1": "100006"}),
        "an accepted run exists at Codegen",
    ),
    "a multi-run does not settle": (
        lambda: replace(GOOD, multi_runs=(MultiRun("mr-1", "running"),)),
        "every multi-run settles",
    ),
    "a webhook is dropped": (
        lambda: replace(GOOD, received=()),
        "every message arrives, or is kept as undelivered",
    ),
    "an undelivered webhook is dropped": (
        lambda: replace(GOOD, undelivered=()),
        "every message arrives, or is kept as undelivered",
    ),
    "our code fails": (lambda: asking(500, "internal_error"), "no 5xx of our own"),
    "a function fails that was not killed": (lambda: asking(502, "internal_error"), "no 5xx of our own"),
    "one kill explains only one failure": (lambda: asking(502, "internal_error", at=12.25), "no 5xx of our own"),
    "the storage is refused without a fault": (lambda: asking(503, "storage_unavailable"), "no 5xx of our own"),
    "a kill explains no error of our code": (lambda: asking(500, "internal_error", at=12.25), "no 5xx of our own"),
    "a token cannot be checked without trouble": (lambda: asking(502, "authorizer_failed"), "no 5xx of our own"),
    "trouble at Codegen explains no error of our code": (
        lambda: asking(502, "internal_error", at=17.25),
        "no 5xx of our own",
    ),
    "no answer comes": (lambda: asking(0), "no 5xx of our own"),
    "a request hangs on an idle machine": (lambda: asking(504, "timeout", 20.0, 29.0), "no 5xx of our own"),
    "no answer comes on an idle machine": (lambda: asking(0, "ReadTimeout", 20.0, 40.0), "no 5xx of our own"),
    "a request fails on an overloaded machine": (lambda: asking(502, "timeout", 120.0, 29.0), "no 5xx of our own"),
    "a function fails late on an overloaded machine": (
        lambda: asking(504, "internal_error", 120.0, 29.0),
        "no 5xx of our own",
    ),
    "an authorizer fails soon on an overloaded machine": (
        lambda: asking(502, "authorizer_failed", 120.0, 5.0),
        "no 5xx of our own",
    ),
    "a gateway gives up too soon": (lambda: asking(504, "timeout", 120.0, 5.0), "no 5xx of our own"),
    "the load of the machine is not known": (
        lambda: replace(asking(504, "timeout", 120.0, 29.0), loads=()),
        "no 5xx of our own",
    ),
    "too many requests are late by the load": (
        lambda: asking(504, "timeout", 120.0, 29.0),
        "the machine keeps up with the load",
    ),
    "an audit entry is changed": (
        lambda: replace(GOOD, audit=(THIRD, SECOND | {"outcome": "refused"}, FIRST)),
        "the audit trail is intact",
    ),
    "an audit entry is removed": (lambda: replace(GOOD, audit=(THIRD, FIRST)), "the audit trail is intact"),
    "the first audit entry is removed": (lambda: replace(GOOD, audit=(THIRD, SECOND)), "the audit trail is intact"),
    "an audit entry is put in": (
        lambda: replace(GOOD, audit=(THIRD, SECOND, entry(2, FIRST["hash"], outcome="failed"), FIRST)),
        "the audit trail is intact",
    ),
    "an act is not recorded": (
        lambda: replace(GOOD, agents=("soak-2", "soak-3")),
        "every act is in the audit trail",
    ),
    "an act that is not recorded has no fault": (lambda: asking(503, "audit_unavailable"), "no 5xx of our own"),
    "memory grows": (
        lambda: replace(GOOD, memory=(Memory("Poller 8", (40, 50, 60, 60, 70, 80, 95, 110)),)),
        "memory stays flat",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_broken_promise_is_named(what: str) -> None:
    make, promise = BROKEN[what]

    assert promise in {violation.promise for violation in check(make())}


def test_what_a_violation_says_leads_to_its_place() -> None:
    (violation,) = check(watching(*EVENTS[:1], *EVENTS[2:]))

    assert violation.evidence == "stream, 100005: ['0-2']"
