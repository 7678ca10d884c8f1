"""A run as a chat tells it: who answers, what the agent does meanwhile, the answer, and the end of the turn.

| in the log                               | in a chat                                                                 |
|------------------------------------------|---------------------------------------------------------------------------|
|                                          | `run.started`, first and without an id, also for who comes back           |
| `run.started`                            | nothing: it has been said                                                 |
| `run.log` of the type `FINAL_ANSWER`     | `content.delta`, with the text as `content`                               |
| the terminal event of the turn           | the same, flat, with the whole `response` and `metrics`; nothing follows  |
| anything else                            | the same                                                                  |

The Codegen API gives an answer in one piece, when it is there, so that a turn has one `content.delta`; what an agent
thinks and does before is `run.log`. All `content` of a turn together is its `response`: where the log has no final
answer, or not all of it, the run's result makes the delta, right before the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codegen_runs.chat.outcomes import outcome
from codegen_runs.events import Event, is_terminal
from codegen_runs.live.reading import Reader
from codegen_runs.live.views import Frame, shown

# How many events before the end of a turn may follow its final answer.
_AFTERTHOUGHTS = 10


class ChatView:
    """One turn of a run, from wherever the viewer goes on to the end of the turn.

    Args:
        told: What is known of the turn besides the run.
    """

    def __init__(self, told: Mapping[str, Any] | None = None) -> None:
        self.over = False
        self._told = dict(told or {})

    def opening(self, reader: Reader) -> Frame:
        """See `View.opening`."""
        watch = reader.watch
        known = {"run_id": watch.agent_run_id, "status": watch.status}
        return Frame("run.started", known | self._told)

    def show(self, events: Sequence[Event], reader: Reader) -> Sequence[Frame]:
        """See `View.show`."""
        frames: list[Frame] = []
        for event in events:
            frames += self._show(event, reader)
            if self.over:
                break
        return frames

    def _show(self, event: Event, reader: Reader) -> list[Frame]:
        if event.type == "run.started":
            return []
        if content := _answer(event):
            return [_delta(content, event, event.id)]
        if is_terminal(event.type):
            self.over = True
            return _ending(event, reader)
        return [shown(event, reader)]


def _ending(end: Event, reader: Reader) -> list[Frame]:
    told = outcome(end, reader)
    frames = []
    if told.response and not _answered_before(end, reader):
        frames.append(_delta(told.response, end, None))
    data = told.model_dump(mode="json", exclude={"metrics"}) | {"run_id": end.run_id}
    metrics = told.metrics.model_dump(mode="json") if told.metrics else {}
    return [*frames, Frame(end.type, data | {"metrics": metrics}, end.id)]


def _answered_before(end: Event, reader: Reader) -> bool:
    """Tell whether the log has the answer of the turn that ends: a viewer who comes back now has been told it."""
    watch, after = reader.watch, (end.epoch, max(0, end.seq - 1 - _AFTERTHOUGHTS))
    for event in reversed(reader.backend.runs.events(watch.org_id, watch.key, after=after, limit=_AFTERTHOUGHTS)):
        if event.seq < end.seq and (_answer(event) or is_terminal(event.type)):
            return not is_terminal(event.type)
    return False


def _answer(event: Event) -> str | None:
    """Return the final answer that an event brings, if it is one, and whole."""
    if event.type != "run.log" or event.data.get("truncated"):
        return None
    log = event.data["log"]
    said = log.get("observation") if log.get("message_type") == "FINAL_ANSWER" else None
    return said if isinstance(said, str) and said else None


def _delta(content: str, event: Event, id_: str | None) -> Frame:
    return Frame("content.delta", {"content": content, "run_id": event.run_id}, id_)
