"""Making checkpoints of a run beside its events: which moments have one, and what it holds.

| reason         | made                                                                              |
|----------------|-----------------------------------------------------------------------------------|
| `start`        | when the run is first looked at                                                   |
| `follow_up`    | when it was told something since, or is in another turn                           |
| `plan`         | after a log entry in which the agent judges its plan                              |
| `pull_request` | after one in which it opens or mends a pull request                               |
| `end`          | before the event that ends a turn                                                 |
| `manual`       | when a caller asks                                                                |

Each has an event `checkpoint.created`, whose number is its own: written in one transaction with the run's new state, it
can neither be lost nor be made twice. Nothing here reads a clock or a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codegen_api import AgentRunLogs
from codegen_runs.clock import milliseconds
from codegen_runs.events import Event, Writer, shorten
from codegen_runs.prompts import Prompt
from codegen_runs.redaction import redact
from codegen_runs.statuses import Status
from codegen_runs.storage.checkpoints import AgentVersion, Checkpoint, Head, Reason
from codegen_runs.storage.runs import Watch

MAX_SUMMARY_CHARACTERS = 200
MAX_ANSWER_CHARACTERS = 20_000

# How many checkpoints the logs of one poll may bring, besides those of its turn: see `LOGS_PER_POLL`.
MILESTONES_PER_POLL = 4

# The upstream's documentation names these types; `create_pr` is what its agents call the tool.
_MILESTONES = {
    "PLAN_EVALUATION": Reason.PLAN,
    "INITIAL_PR_GENERATION": Reason.PULL_REQUEST,
    "FIX_PR_ERRORS": Reason.PULL_REQUEST,
}
_OPENS_PULL_REQUEST = "create_pr"


class Recorder:
    """Make the checkpoints that come with one write of a run, each with an event at its place in the log."""

    def __init__(self, watch: Watch, writer: Writer, *, now: float) -> None:
        self.made: list[Checkpoint] = []
        self.head = watch.checkpoint
        self._watch = watch
        self._writer = writer
        self._now = milliseconds(now)

    def begin(self) -> None:
        """Make the checkpoint of a new turn, or of a new prompt, if there is one."""
        told = self._untold()
        if self.head is None:
            self._make(Reason.START, self._watch.status, summary=told[0].text if told else None)
        elif told or self._watch.turn > self.head.turn:
            self._make(Reason.FOLLOW_UP, self._watch.status, summary=told[-1].text if told else None)

    def milestones(self, events: Sequence[Event]) -> None:
        """Make those of log entries that are new."""
        for event in tuple(events):
            log = event.data["log"] if event.type == "run.log" else {}
            if reason := _milestone(log.get("message_type"), log.get("tool_name")):
                self._make(reason, Status.RUNNING, summary=_words(log), position=event.data["position"])

    def end(self, status: Status, answer: str | None, reason: str | None) -> None:
        """Make the one of the end of a turn."""
        kept, truncated = shorten(answer, MAX_ANSWER_CHARACTERS)
        self._make(Reason.END, status, summary=kept or reason, answer=kept, answer_truncated=truncated)

    def by_hand(self, summary: str | None, tags: Sequence[str], created_by: str) -> Checkpoint:
        """Make one of this moment, for a caller."""
        self.begin()
        self._make(Reason.MANUAL, self._watch.status, summary=summary, tags=tuple(tags), created_by=created_by)
        return self.made[-1]

    def _untold(self) -> tuple[Prompt, ...]:
        known = self.head.prompt if self.head else 0
        return tuple(prompt for prompt in self._watch.prompts if prompt.number > known)

    def _make(
        self, reason: Reason, status: Status, *, summary: str | None, position: int | None = None, **more: Any
    ) -> None:
        watch, place = self._watch, self._writer.position
        assert watch.agent_run_id is not None  # noqa: S101 - a run that is not launched has nothing to come back to
        checkpoint = Checkpoint(
            org_id=watch.org_id,
            run=watch.key,
            agent_run_id=watch.agent_run_id,
            epoch=place.epoch,
            seq=place.seq + 1,
            turn=watch.turn,
            reason=reason,
            status=status,
            prompts=self._untold(),
            summary=shorten(redact(summary), MAX_SUMMARY_CHARACTERS)[0] if summary else None,
            agent=_agent(watch.prompts),
            repo_id=watch.repo_id,
            model=next((prompt.model for prompt in reversed(watch.prompts) if prompt.model), watch.model),
            agent_type=watch.agent_type,
            created_at=self._now,
            parent=self.head.hash if self.head else None,
            **more,
        ).sealed()
        told = {
            "checkpoint_id": checkpoint.id,
            "turn": checkpoint.turn,
            "reason": reason,
            "summary": checkpoint.summary,
            "hash": checkpoint.hash,
        }
        self._writer.add("checkpoint.created", told if position is None else told | {"position": position})
        self.made.append(checkpoint)
        known = self.head.prompt if self.head else 0
        self.head = Head(
            epoch=checkpoint.epoch,
            seq=checkpoint.seq,
            hash=checkpoint.hash,
            turn=checkpoint.turn,
            prompt=checkpoint.prompts[-1].number if checkpoint.prompts else known,
        )


def may_be_known(watch: Watch) -> bool:
    """Tell whether a run may have checkpoints that its watch does not know of, since watches expire and they do not."""
    return watch.checkpoint is None and watch.prompt is None


def continued(watch: Watch, last: Checkpoint | None) -> Watch:
    """Have a watch that knows of no checkpoint go on after the last one that there is."""
    if last is None:
        return watch
    head = Head(epoch=last.epoch, seq=last.seq, hash=last.hash, turn=0)
    position = {"epoch": last.epoch + 1, "seq": max(watch.seq, last.seq), "log_count": 0, "tail": ()}
    return watch.model_copy(update={"checkpoint": head, **position})


def opens_pull_request(event: Event) -> bool:
    """Tell whether an event is of a log entry in which the agent opens or mends a pull request."""
    log = event.data.get("log") or {}
    return _milestone(log.get("message_type"), log.get("tool_name")) is Reason.PULL_REQUEST


def fitting(answer: AgentRunLogs, known: int) -> AgentRunLogs:
    """Cut an answer to `logs` after as many new milestones as one write can take; `known` entries are not new."""
    milestones = [
        number
        for number, log in enumerate(answer.logs)
        if number >= known and _milestone(log.message_type, log.tool_name)
    ]
    if len(milestones) <= MILESTONES_PER_POLL:
        return answer
    last = milestones[MILESTONES_PER_POLL - 1]
    # What is left is read by the next poll: the total, if the upstream tells it, stays larger than what was read.
    return answer.model_copy(update={"logs": answer.logs[: last + 1]})


def _agent(prompts: Sequence[Prompt]) -> AgentVersion | None:
    """Return the agent that the newest prompt with one was told to."""
    for prompt in reversed(prompts):
        match prompt.source:
            case {"agent_id": str(agent_id), "agent_version": int(version)}:
                return AgentVersion(id=agent_id, version=version)
    return None


def _milestone(message_type: str | None, tool_name: str | None) -> Reason | None:
    return Reason.PULL_REQUEST if tool_name == _OPENS_PULL_REQUEST else _MILESTONES.get(message_type or "")


def _words(log: dict[str, Any]) -> str | None:
    """Return what a log entry says, in the first words of its that are a text."""
    said = (log.get(name) for name in ("thought", "observation"))
    return next((text for text in said if isinstance(text, str) and text), None)
