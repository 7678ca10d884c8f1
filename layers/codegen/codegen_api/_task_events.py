"""Following a task event by event.

A deployment numbers the events of a run, and answers by cursor: `GET .../events?after=...`, held until there is news.
Each page is a call like any other, repeated if it is cut off, so nothing is lost and nothing comes twice, also behind
gateways that let no connection last. Codegen itself has logs without ids, whose position is their identity: they are
polled by offset, and told as the same events.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import pydantic

from ._core import Core
from ._deployment import is_deployment
from ._flows import check_interval, do, outlast
from ._models import AgentRunLog, Model, parse_timestamp
from ._pagination import PAGE_SIZE
from ._protocol import Call, Emit, Stream, Wait
from ._task_flows import look
from ._task_state import TaskState, TaskStatus
from .resources import runs

HOLD = 20.0
"""Seconds that a deployment is asked to hold a request for news; it allows 25."""
PATIENCE = 10
"""How many requests in a row may fail, each with all its retries, before a stream does."""

_CURSOR = re.compile(r"\d+-(\d+)")
_ENDINGS = {
    "incomplete": "run.incomplete",
    "max_iterations_reached": "run.incomplete",
    "out_of_tokens": "run.incomplete",
    "timeout": "run.timed_out",
    "timed_out": "run.timed_out",
}


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Something that happened in a task.

    Attributes:
        id: Its place; `task.stream(after=id)` goes on with what follows.
        type: `run.log` for each step of the agent, `run.completed`, `run.failed`, ...; a deployment has more.
        data: What there is to know about it.
        at: When it was noticed, in UTC; None where nobody says.
    """

    id: str
    type: str
    data: dict[str, Any]
    at: datetime | None = None

    @property
    def log(self) -> AgentRunLog | None:
        """The agent's step, for `run.log` and `run.log_updated`."""
        if not self.type.startswith("run.log"):
            return None
        try:
            return AgentRunLog.model_validate(self.data.get("log"))
        except pydantic.ValidationError:
            return None

    @property
    def text(self) -> str:
        """One line for people."""
        if (log := self.log) is None:
            return f"{self.type.removeprefix('run.').replace('_', ' ').replace('.', ' ')}{_because(self.data)}"
        said = str(log.thought or log.observation or log.tool_input or "").strip()
        return ": ".join(filter(None, (log.tool_name or log.message_type or "log", said.partition("\n")[0])))


def _because(data: dict[str, Any]) -> str:
    return f": {data['reason']}" if data.get("reason") else ""


class _Entry(Model):
    id: str
    type: str
    ts: str | None = None
    data: dict[str, Any]


class _Events(Model):
    run: dict[str, Any]
    items: list[_Entry]
    next_cursor: str
    ended: bool


def events(core: Core, state: TaskState, after: str | None, poll_interval: float) -> Stream:
    """Give each event of a task that follows `after`, until it ends."""
    check_interval(poll_interval)
    if (yield from is_deployment(core)):
        yield from _told(core, state, after)
    else:
        yield from _polled(core, state, after, poll_interval)


def _told(core: Core, state: TaskState, after: str | None) -> Stream:
    path = f"/v1/organizations/{state.org_id}/agent/run/{state.id}/events"
    read = core.timeout.read
    hold = HOLD if read is None else min(HOLD, read / 2)
    while True:
        params = {"after": after, "wait": hold, "limit": PAGE_SIZE}
        call = Call("GET", path, _Events.model_validate_json, params=params)
        page = yield from outlast(partial(do, call), most=PATIENCE)
        for item in page.items:
            yield Emit(TaskEvent(item.id, item.type, item.data, parse_timestamp(item.ts) if item.ts else None))
        after = page.next_cursor
        state.move(page.run.get("status"))
        if page.ended:
            yield from outlast(partial(look, core, state), most=PATIENCE)  # for the result
            return


def _polled(core: Core, state: TaskState, after: str | None, poll_interval: float) -> Stream:
    """Read logs by offset. What is filled in later, or rewritten, is not told again: only a deployment compares."""
    skip = _position(after)
    told = False
    while True:
        page = yield from outlast(partial(do, runs.logs(core, state.id, org_id=state.org_id, skip=skip)), most=PATIENCE)
        state.read(page)
        total = page.total_logs if page.total_logs is not None else skip + len(page.logs)
        if after is not None and not told and state.ended() and skip == total + 1:
            return  # the ending, which follows the last entry, is what `after` names
        told = True
        for log in page.logs:
            data = {"position": skip, "log": log.model_dump()}
            skip += 1
            yield Emit(TaskEvent(f"0-{skip}", "run.log", data, log.created))
        skip = min(skip, total)  # a log may shrink, and new entries take the places of those that went
        if skip < total:
            continue
        if state.ended():
            yield Emit(_ending(state, skip + 1))
            # For what a run has and its logs have not, and for why it failed.
            yield from outlast(partial(look, core, state), most=PATIENCE)
            return
        yield Wait(poll_interval)


def _ending(state: TaskState, number: int) -> TaskEvent:
    kind = _ENDINGS.get((state.word or "").lower(), f"run.{state.status.value}")
    reason = f"ended as {state.word}" if state.status is TaskStatus.FAILED else None
    data = {"status": kind.removeprefix("run."), "upstream_status": state.word, "reason": reason}
    return TaskEvent(f"0-{number}", kind, data)


def _position(cursor: str | None) -> int:
    if cursor is None:
        return 0
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise ValueError(f"no id of an event: {cursor!r}")
    return int(match[1])
