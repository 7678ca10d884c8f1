"""Create the checkpoints of a run together with its events.

| reason         | created                                                                           |
|----------------|-----------------------------------------------------------------------------------|
| `start`        | when the run is first polled                                                      |
| `follow_up`    | when the run has received a prompt since, or is in another turn                   |
| `plan`         | after a log entry in which the agent evaluates its plan                           |
| `pull_request` | after a log entry in which the agent opens or fixes a pull request                |
| `end`          | before the event that ends a turn                                                 |
| `manual`       | at a caller's request                                                             |

Each checkpoint has the number of its event, `checkpoint.created`. Both are written in one transaction with the run's
new state, so a checkpoint can neither be lost nor be created twice. Nothing here reads a clock or a table.
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

# The most checkpoints for the log entries of one poll, besides those of its turn: see `LOGS_PER_POLL`.
MILESTONES_PER_POLL = 4

# The upstream's documentation lists these types. `create_pr` is the name of the tool in observed logs.
_MILESTONES = {
    "PLAN_EVALUATION": Reason.PLAN,
    "INITIAL_PR_GENERATION": Reason.PULL_REQUEST,
    "FIX_PR_ERRORS": Reason.PULL_REQUEST,
}
_OPENS_PULL_REQUEST = "create_pr"


class Recorder:
    """Create the checkpoints for one write of a run, each with an event at its place in the event log."""

    def __init__(self, watch: Watch, writer: Writer, *, now: float) -> None:
        self.made: list[Checkpoint] = []
        self.head = watch.checkpoint
        self._watch = watch
        self._writer = writer
        self._now = milliseconds(now)

    def begin(self) -> None:
        """Create the checkpoint of a run's start, of a new prompt or of a new turn, if there is one."""
        prompts = self._new_prompts()
        if self.head is None:
            self._make(Reason.START, self._watch.status, summary=prompts[0].text if prompts else None)
        elif prompts or self._watch.turn > self.head.turn:
            self._make(Reason.FOLLOW_UP, self._watch.status, summary=prompts[-1].text if prompts else None)

    def milestones(self, events: Sequence[Event]) -> None:
        """Create the checkpoints of new log entries."""
        for event in tuple(events):
            log = event.data["log"] if event.type == "run.log" else {}
            if reason := _milestone(log.get("message_type"), log.get("tool_name")):
                self._make(reason, Status.RUNNING, summary=_text(log), position=event.data["position"])

    def end(self, status: Status, answer: str | None, reason: str | None) -> None:
        """Create the checkpoint of the end of a turn, with its answer; `reason` is the summary without an answer."""
        kept, truncated = shorten(redact(answer), MAX_ANSWER_CHARACTERS)
        self._make(Reason.END, status, summary=kept or reason, answer=kept, answer_truncated=truncated)

    def by_hand(self, summary: str | None, tags: Sequence[str], created_by: str) -> Checkpoint:
        """Create a checkpoint of the current state for a caller, and return it."""
        self.begin()
        self._make(Reason.MANUAL, self._watch.status, summary=summary, tags=tuple(tags), created_by=created_by)
        return self.made[-1]

    def _new_prompts(self) -> tuple[Prompt, ...]:
        """Return the prompts that no checkpoint holds yet."""
        last = self.head.prompt if self.head else 0
        prompts = (prompt for prompt in self._watch.prompts if prompt.number > last)
        return tuple(prompt.model_copy(update={"text": redact(prompt.text)}) for prompt in prompts)

    def _make(
        self, reason: Reason, status: Status, *, summary: str | None, position: int | None = None, **more: Any
    ) -> None:
        watch, place = self._watch, self._writer.position
        assert watch.agent_run_id is not None  # noqa: S101 - only launched runs have checkpoints
        checkpoint = Checkpoint(
            org_id=watch.org_id,
            run=watch.key,
            agent_run_id=watch.agent_run_id,
            epoch=place.epoch,
            seq=place.seq + 1,
            turn=watch.turn,
            reason=reason,
            status=status,
            prompts=self._new_prompts(),
            summary=shorten(redact(summary), MAX_SUMMARY_CHARACTERS)[0] if summary else None,
            agent=_agent(watch.prompts),
            repo_id=watch.repo_id,
            model=next((prompt.model for prompt in reversed(watch.prompts) if prompt.model), watch.model),
            agent_type=watch.agent_type,
            created_at=self._now,
            parent=self.head.hash if self.head else None,
            **more,
        ).sealed()
        data = {
            "checkpoint_id": checkpoint.id,
            "turn": checkpoint.turn,
            "reason": reason,
            "summary": checkpoint.summary,
            "hash": checkpoint.hash,
        }
        self._writer.add("checkpoint.created", data if position is None else data | {"position": position})
        self.made.append(checkpoint)
        last = self.head.prompt if self.head else 0
        self.head = Head(
            epoch=checkpoint.epoch,
            seq=checkpoint.seq,
            hash=checkpoint.hash,
            turn=checkpoint.turn,
            prompt=checkpoint.prompts[-1].number if checkpoint.prompts else last,
        )


def may_be_known(watch: Watch) -> bool:
    """Return whether a run may have checkpoints that its watch does not name, because watches expire before them."""
    return watch.checkpoint is None and watch.prompt is None


def continued(watch: Watch, last: Checkpoint | None) -> Watch:
    """Return a watch that continues after the run's last checkpoint, which an expired watch had created."""
    if last is None:
        return watch
    head = Head(epoch=last.epoch, seq=last.seq, hash=last.hash, turn=0)
    position = {"epoch": last.epoch + 1, "seq": max(watch.seq, last.seq), "log_count": 0, "tail": ()}
    return watch.model_copy(update={"checkpoint": head, **position})


def opens_pull_request(event: Event) -> bool:
    """Return whether an event is that of a log entry in which the agent opens or fixes a pull request."""
    log = event.data.get("log") or {}
    return _milestone(log.get("message_type"), log.get("tool_name")) is Reason.PULL_REQUEST


def fitting(answer: AgentRunLogs, known: int) -> AgentRunLogs:
    """Cut the upstream's `logs` answer so that its new entries have at most `MILESTONES_PER_POLL` milestones.

    The first `known` entries are not new.
    """
    milestones = [
        number
        for number, log in enumerate(answer.logs)
        if number >= known and _milestone(log.message_type, log.tool_name)
    ]
    if len(milestones) <= MILESTONES_PER_POLL:
        return answer
    last = milestones[MILESTONES_PER_POLL - 1]
    # The next poll reads the rest: the total, if the upstream returns one, is larger than what was read.
    return answer.model_copy(update={"logs": answer.logs[: last + 1]})


def _agent(prompts: Sequence[Prompt]) -> AgentVersion | None:
    """Return the agent of the newest prompt that has one."""
    for prompt in reversed(prompts):
        match prompt.source:
            case {"agent_id": str(agent_id), "agent_version": int(version)}:
                return AgentVersion(id=agent_id, version=version)
    return None


def _milestone(message_type: Any, tool_name: Any) -> Reason | None:
    """Return the reason for a checkpoint after a log entry. The upstream may send values that are not texts."""
    if tool_name == _OPENS_PULL_REQUEST:
        return Reason.PULL_REQUEST
    return _MILESTONES.get(message_type) if isinstance(message_type, str) else None


def _text(log: dict[str, Any]) -> str | None:
    """Return the text of a log entry: its thought, else its observation, if that is a text."""
    texts = (log.get(name) for name in ("thought", "observation"))
    return next((text for text in texts if isinstance(text, str) and text), None)
