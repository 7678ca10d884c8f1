"""The events of runs and multi-runs.

A deployment numbers the events of a run and returns them from a cursor on: `GET .../events?after=...` waits until there
are new events. Each page is an ordinary call that is retried when it fails. So no event is lost or repeated, also
behind gateways that do not keep connections open. `GET .../logs/stream` sends the same events over one connection.

The Codegen API has no events, only log entries without ids. A position in the log identifies an entry. The client polls
the log from the last position on and makes the same kind of events from the entries.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import pydantic

from ._core import Core
from ._deployment import is_deployment
from ._errors import InvalidArgumentError
from ._flows import check_poll_interval, perform, retry
from ._models import AgentRunLog
from ._pagination import PAGE_SIZE, Listing
from ._protocol import Call, Emit, StreamCall, StreamFlow, Wait
from ._streams import MAX_FAILURES, Frame, follow_frames
from ._task_flows import refresh
from ._task_state import TaskState
from ._timestamps import Timestamp
from .resources import runs

LONG_POLL_SECONDS = 20.0
"""Seconds that a deployment may hold a request until there are new events. Its maximum is 25."""

_EVENT_ID = re.compile(r"\d+-(\d+)")


@dataclass(frozen=True, slots=True, repr=False)
class Event:
    """An event of a run or of a multi-run. `print` shows it in one line.

    Attributes:
        id: Identifies the event. `task.stream(after=id)` returns the events that follow it. None for a frame of a chat
            that is no event of the run.
        type: `run.log` for each step of the agent, `run.completed`, `run.failed`, ...; a deployment has more types.
        data: The details, depending on the type.
        at: Time of the event in UTC; None if unknown.
    """

    id: str | None
    type: str
    data: dict[str, Any]
    at: Timestamp | None = None

    @property
    def log(self) -> AgentRunLog | None:
        """The log entry of a `run.log` or `run.log_updated`; None for other types."""
        if not self.type.startswith("run.log"):
            return None
        try:
            return AgentRunLog.model_validate(self.data.get("log"))
        except pydantic.ValidationError:
            return None

    @property
    def text(self) -> str:
        """The event in one line of text."""
        if (log := self.log) is None:
            words = self.type.removeprefix("multi_").removeprefix("run.").replace("_", " ").replace(".", " ")
            details = self.data.get("reason") or self.data.get("content") or ""
            return ": ".join(filter(None, (words, str(details).strip().partition("\n")[0])))
        content = str(log.thought or log.observation or log.tool_input or "").strip()
        return ": ".join(filter(None, (log.tool_name or log.message_type or "log", content.partition("\n")[0])))

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.text}" if self.at else self.text

    def __repr__(self) -> str:
        return f"Event(id={self.id!r}, type={self.type!r}, text={self.text[:60]!r})"


class EventPage(NamedTuple):
    """One page of events, and what they are about as it is now: the run or the multi-run."""

    items: list[Event]
    next_cursor: str
    has_more: bool
    ended: bool
    subject: dict[str, Any]


def read_event(received: Mapping[str, Any]) -> Event:
    """Read an event. Raises ValueError if it is not one."""
    try:
        at = received.get("ts")
        return Event(received["id"], received["type"], received["data"], Timestamp.read(at) if at else None)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an event: {error}") from None


def read_event_page(content: bytes) -> EventPage:
    """Read a page of events. Raises ValueError if it is not one."""
    page = json.loads(content)
    try:
        items = [read_event(item) for item in page["items"]]
        subject = page.get("run") or page.get("multi_run") or {}
        return EventPage(items, page["next_cursor"], page.get("has_more", False), page["ended"], subject)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a page of events: {error}") from None


def event_list(feature: str, path: str, after: str | None, limit: int = PAGE_SIZE) -> Listing[Event, EventPage]:
    """Describe the list of the events so far."""

    def call(cursor: str | None) -> Call[EventPage]:
        return Call("GET", path, read_event_page, params={"after": cursor, "limit": limit})

    def following(page: EventPage, _position: str | None, _read: int) -> str | None:
        return page.next_cursor if page.has_more else None

    return Listing(call, lambda page: page.items, lambda _: None, following, after, feature)


def event_stream(path: str, after: str | None) -> StreamFlow:
    """Emit the events of a stream of server-sent events, until what they are about ends."""
    return follow_frames(lambda cursor: StreamCall("GET", path, params={"after": cursor}), after, _from_frame)


def _from_frame(frame: Frame) -> Event | None:
    """Return the event in a frame; None for a snapshot, which has no id."""
    return None if frame.id is None else read_event(json.loads(frame.data))


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
