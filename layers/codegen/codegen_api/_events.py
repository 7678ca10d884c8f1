"""The events of runs and multi-runs. A deployment numbers them, so its lists and streams continue after any of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pydantic

from ._models import AgentRunLog
from ._pagination import PAGE_SIZE, Listing
from ._protocol import Call, StreamCall, StreamFlow
from ._streams import Frame, follow_frames
from ._text import one_line
from ._timestamps import Timestamp


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
            details = self.data.get("reason") or self.data.get("content")
            return ": ".join(filter(None, (words, one_line(details))))
        content = one_line(log.thought or log.observation or log.tool_input)
        return ": ".join(filter(None, (log.tool_name or log.message_type or "log", content)))

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
        return Event(received["id"], received["type"], received["data"], Timestamp.of(received.get("ts")))
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


def event_list(
    feature: str, path: str, after: str | None, limit: int = PAGE_SIZE, before: str | None = None
) -> Listing[Event, EventPage]:
    """Describe the list of the events so far; with `before`, only the page before an event."""

    def call(cursor: str | None) -> Call[EventPage]:
        return Call("GET", path, read_event_page, params={"after": cursor, "before": before, "limit": limit})

    def following(page: EventPage, _position: str | None, _read: int) -> str | None:
        return page.next_cursor if page.has_more and before is None else None

    return Listing(call, lambda page: page.items, lambda _: None, following, after, feature)


def event_stream(path: str, after: str | None) -> StreamFlow:
    """Emit the events of a stream of server-sent events, until what they are about ends."""
    return follow_frames(lambda cursor: StreamCall("GET", path, params={"after": cursor}), after, _from_frame)


def _from_frame(frame: Frame) -> Event | None:
    """Return the event in a frame; None for a snapshot, which has no id."""
    return None if frame.id is None else read_event(json.loads(frame.data))
