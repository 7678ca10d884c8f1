"""The chat view of a run: the agent and the turn, what the agent does, its answer, and the end of the turn.

| event in the log                     | frame in a chat                                                             |
|--------------------------------------|-----------------------------------------------------------------------------|
|                                      | `run.started`, first and without an id, also when a viewer reconnects       |
| `run.started`                        | none: the first frame replaces it                                           |
| `run.log` of the type `FINAL_ANSWER` | `content.delta`, with the text as `content`                                 |
| the terminal event of the turn       | the same name, with the whole `response` and `metrics`; no frame follows it |
| any other event                      | the same event                                                              |

The upstream returns an answer in one piece, at its end, so a turn has one `content.delta`. The agent's thoughts and
tool calls before it are `run.log`. The joined `content` of a turn is its `response`: if the log has no final answer, or
only its beginning, the delta contains the run's result and comes right before the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codegen_runs.chat.outcomes import outcome
from codegen_runs.events import Event, is_terminal
from codegen_runs.live.reading import RunReader
from codegen_runs.live.views import Frame, log_frame

# How many events may stand between the final answer and the end of a turn.
_AFTER_ANSWER = 10


class ChatView:
    """One turn of a run, from the viewer's cursor to the end of the turn.

    Args:
        first: Data for the first frame, besides the run's id and status.
    """

    def __init__(self, first: Mapping[str, Any] | None = None) -> None:
        self.over = False
        self._first = dict(first or {})

    def opening(self, reader: RunReader) -> Frame:
        """See `View.opening`."""
        watch = reader.watch
        return Frame("run.started", {"run_id": watch.agent_run_id, "status": watch.shown_status} | self._first)

    def show(self, events: Sequence[Event], reader: RunReader) -> Sequence[Frame]:
        """See `View.show`."""
        frames: list[Frame] = []
        for event in events:
            frames += self._show(event, reader)
            if self.over:
                break
        return frames

    def _show(self, event: Event, reader: RunReader) -> list[Frame]:
        if event.type == "run.started":
            return []
        if content := _answer(event):
            return [_delta(content, event, event.id)]
        if is_terminal(event.type):
            self.over = True
            return _end_frames(event, reader)
        return [log_frame(event, reader)]


def _end_frames(end: Event, reader: RunReader) -> list[Frame]:
    result = outcome(end, reader)
    frames = []
    if result.response and not _has_answer(end, reader):
        frames.append(_delta(result.response, end, None))
    data = result.model_dump(mode="json", exclude={"metrics"}) | {"run_id": end.run_id}
    metrics = result.metrics.model_dump(mode="json") if result.metrics else {}
    return [*frames, Frame(end.type, data | {"metrics": metrics}, end.id)]


def _has_answer(end: Event, reader: RunReader) -> bool:
    """Return whether the log has the turn's final answer before its end. Then the viewer has got it already."""
    watch, after = reader.watch, (end.epoch, max(0, end.seq - 1 - _AFTER_ANSWER))
    for event in reversed(reader.backend.runs.events(watch.org_id, watch.key, after=after, limit=_AFTER_ANSWER)):
        if event.seq < end.seq and (_answer(event) or is_terminal(event.type)):
            return not is_terminal(event.type)
    return False


def _answer(event: Event) -> str | None:
    """Return the text of an event that is a final answer and was stored as a whole; None for any other event."""
    if event.type != "run.log" or event.data.get("truncated"):
        return None
    log = event.data["log"]
    text = log.get("observation") if log.get("message_type") == "FINAL_ANSWER" else None
    return text if isinstance(text, str) and text else None


def _delta(content: str, event: Event, id_: str | None) -> Frame:
    return Frame("content.delta", {"content": content, "run_id": event.run_id}, id_)
