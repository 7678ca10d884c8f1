"""The events of a task, as a stream.

With a deployment, the client reads the events from a cursor on: `GET .../events?after=...` waits until there are new
ones. Each page is an ordinary call that is retried when it fails. So no event is lost or repeated, also behind gateways
that do not keep connections open.

The Codegen API has no events, only log entries without ids. A position in the log identifies an entry. The client polls
the log from the last position on and makes the same kind of events from the entries.
"""

import re
from functools import partial

from ._core import Core
from ._deployment import is_deployment
from ._errors import InvalidArgumentError
from ._events import Event, read_event_page
from ._flows import check_poll_interval, perform, retry
from ._pagination import PAGE_SIZE
from ._protocol import Call, Emit, StreamFlow, Wait
from ._streams import MAX_FAILURES
from ._task_flows import refresh
from ._task_state import TaskState
from .resources import runs

LONG_POLL_SECONDS = 20.0
"""Seconds that a deployment may hold a request until there are new events. Its maximum is 25."""

_EVENT_ID = re.compile(r"\d+-(\d+)")


def task_events(core: Core, state: TaskState, after: str | None, poll_interval: float) -> StreamFlow:
    """Emit each event of a task that follows the event `after`, until the task ends."""
    check_poll_interval(poll_interval)
    if (yield from is_deployment(core)):
        yield from _events_of_deployment(core, state, after)
    else:
        yield from _events_from_logs(core, state, after, poll_interval)


def _events_of_deployment(core: Core, state: TaskState, after: str | None) -> StreamFlow:
    path = f"/v1/organizations/{state.org_id}/agent/run/{state.id}/events"
    read_timeout = core.timeout.read
    hold = LONG_POLL_SECONDS if read_timeout is None else min(LONG_POLL_SECONDS, read_timeout / 2)
    while True:
        params = {"after": after, "wait": hold, "limit": PAGE_SIZE}
        call = Call("GET", path, read_event_page, params=params)
        page = yield from retry(partial(perform, call), max_failures=MAX_FAILURES)
        for event in page.items:
            yield Emit(event)
        after = page.next_cursor
        state.set_status(page.subject.get("status"))
        if page.ended:
            # The events do not have the result.
            yield from retry(partial(refresh, core, state), max_failures=MAX_FAILURES)
            return


def _events_from_logs(core: Core, state: TaskState, after: str | None, poll_interval: float) -> StreamFlow:
    """Poll the log by position. Entries that change later are not emitted again; only a deployment detects changes."""
    skip = _position(after)
    first_page = True
    while True:
        call = runs.logs(core, state.id, org_id=state.org_id, skip=skip)
        page = yield from retry(partial(perform, call), max_failures=MAX_FAILURES)
        state.update_from_run(page)
        total = page.total_logs if page.total_logs is not None else skip + len(page.logs)
        if after is not None and first_page and state.ended() and skip == total + 1:
            return  # `after` is the final event, which has the position after the last entry
        first_page = False
        for log in page.logs:
            data = {"position": skip, "log": log.model_dump()}
            skip += 1
            yield Emit(Event(f"0-{skip}", "run.log", data, log.created_at))
        skip = min(skip, total)  # a log can shrink, and new entries then take the positions of those that are gone
        if skip < total:
            continue
        if state.ended():
            yield Emit(_final_event(state, skip + 1))
            # The log has neither the summary, the pull requests nor the error of the run.
            yield from retry(partial(refresh, core, state), max_failures=MAX_FAILURES)
            return
        yield Wait(poll_interval)


def _final_event(state: TaskState, number: int) -> Event:
    reason = f"ended with status {state.raw_status}" if state.status.failed else None
    data = {"status": state.status.value, "upstream_status": state.raw_status, "reason": reason}
    return Event(f"0-{number}", f"run.{state.status.value}", data)


def _position(event_id: str | None) -> int:
    if event_id is None:
        return 0
    match = _EVENT_ID.fullmatch(event_id)
    if not match:
        raise InvalidArgumentError(f"not an event id: {event_id!r}")
    return int(match[1])
