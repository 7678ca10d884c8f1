"""The events of a task, as a stream.

A deployment numbers the events of a run and returns them from a cursor on: `GET .../events?after=...` waits until there
are new events. Each page is an ordinary call that is retried when it fails. So no event is lost or repeated, also
behind gateways that do not keep connections open.

The Codegen API has no events, only log entries without ids. A position in the log identifies an entry. The client polls
the log from the last position on and makes the same kind of events from the entries.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pydantic

from ._core import Core
from ._deployment import is_deployment
from ._errors import InvalidArgumentError
from ._flows import check_poll_interval, perform, retry
from ._models import AgentRunLog, Model, parse_timestamp
from ._pagination import PAGE_SIZE
from ._protocol import Call, Emit, Stream, Wait
from ._task_flows import refresh
from ._task_state import TaskState, TaskStatus
from .resources import runs

LONG_POLL_SECONDS = 20.0
"""Seconds that a deployment may hold a request until there are new events. Its maximum is 25."""
MAX_FAILURES = 10
"""Requests in a row that may fail before the stream fails. Each of them is a call with all its retries."""

_EVENT_ID = re.compile(r"\d+-(\d+)")
_FINAL_TYPES = {
    "incomplete": "run.incomplete",
    "max_iterations_reached": "run.incomplete",
    "out_of_tokens": "run.incomplete",
    "timeout": "run.timed_out",
    "timed_out": "run.timed_out",
}


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """An event of a task.

    Attributes:
        id: Identifies the event. `task.stream(after=id)` returns the events that follow it.
        type: `run.log` for each step of the agent, `run.completed`, `run.failed`, ...; a deployment has more types.
        data: The details, depending on the type.
        at: Time of the event in UTC; None if unknown.
    """

    id: str
    type: str
    data: dict[str, Any]
    at: datetime | None = None

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
            words = self.type.removeprefix("run.").replace("_", " ").replace(".", " ")
            return f"{words}: {self.data['reason']}" if self.data.get("reason") else words
        content = str(log.thought or log.observation or log.tool_input or "").strip()
        return ": ".join(filter(None, (log.tool_name or log.message_type or "log", content.partition("\n")[0])))


class _Event(Model):
    id: str
    type: str
    ts: str | None = None
    data: dict[str, Any]


class _EventPage(Model):
    run: dict[str, Any]
    items: list[_Event]
    next_cursor: str
    ended: bool


def task_events(core: Core, state: TaskState, after: str | None, poll_interval: float) -> Stream:
    """Emit each event of a task that follows the event `after`, until the task ends."""
    check_poll_interval(poll_interval)
    if (yield from is_deployment(core)):
        yield from _events_of_deployment(core, state, after)
    else:
        yield from _events_from_logs(core, state, after, poll_interval)


def _events_of_deployment(core: Core, state: TaskState, after: str | None) -> Stream:
    path = f"/v1/organizations/{state.org_id}/agent/run/{state.id}/events"
    read_timeout = core.timeout.read
    hold = LONG_POLL_SECONDS if read_timeout is None else min(LONG_POLL_SECONDS, read_timeout / 2)
    while True:
        params = {"after": after, "wait": hold, "limit": PAGE_SIZE}
        call = Call("GET", path, _EventPage.read, params=params)
        page = yield from retry(partial(perform, call), max_failures=MAX_FAILURES)
        for item in page.items:
            yield Emit(TaskEvent(item.id, item.type, item.data, parse_timestamp(item.ts) if item.ts else None))
        after = page.next_cursor
        state.set_status(page.run.get("status"))
        if page.ended:
            # The events do not have the result.
            yield from retry(partial(refresh, core, state), max_failures=MAX_FAILURES)
            return


def _events_from_logs(core: Core, state: TaskState, after: str | None, poll_interval: float) -> Stream:
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
            yield Emit(TaskEvent(f"0-{skip}", "run.log", data, log.created))
        skip = min(skip, total)  # a log can shrink, and new entries then take the positions of those that are gone
        if skip < total:
            continue
        if state.ended():
            yield Emit(_final_event(state, skip + 1))
            # The log has neither the summary, the pull requests nor the error of the run.
            yield from retry(partial(refresh, core, state), max_failures=MAX_FAILURES)
            return
        yield Wait(poll_interval)


def _final_event(state: TaskState, number: int) -> TaskEvent:
    type_ = _FINAL_TYPES.get((state.raw_status or "").lower(), f"run.{state.status.value}")
    reason = f"ended with status {state.raw_status}" if state.status is TaskStatus.FAILED else None
    data = {"status": type_.removeprefix("run."), "upstream_status": state.raw_status, "reason": reason}
    return TaskEvent(f"0-{number}", type_, data)


def _position(event_id: str | None) -> int:
    if event_id is None:
        return 0
    match = _EVENT_ID.fullmatch(event_id)
    if not match:
        raise InvalidArgumentError(f"not an event id: {event_id!r}")
    return int(match[1])
