"""The schemas of events, and of the frames of the streams that contain them.

The functions write events as plain dicts, so these models are only for the document and for tests. A test compares the
types here with the types that the code writes, and every event that a test stores is validated against its model.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from pydantic.json_schema import models_json_schema

Json = dict[str, Any]

PAGE = Path(__file__).parents[1] / "docs" / "events.md"

StatusWord = Literal[
    "queued",
    "launching",
    "running",
    "paused",
    "cancelling",
    "completed",
    "incomplete",
    "failed",
    "cancelled",
    "timed_out",
    "unknown",
]
Strategy = Literal["synthesize", "select", "rank", "none"]
AnswerSource = Literal["synthesis", "selected", "base", "only_candidate", "fallback"]
EventId = Annotated[str, Field(pattern=r"^[0-9]{1,4}-[0-9]{1,10}$")]


class Part(BaseModel):
    """A part of an event or a frame, with no other fields than those that are described."""

    model_config = ConfigDict(extra="forbid")


class InTurn(Part):
    """The data of an event of a turn."""

    turn: int = Field(ge=1, description="The turn of the run. A follow-up begins the next one.")


class Queued(InTurn):
    """The data of `run.queued`."""

    paused_scope: Literal["queue_only"] | None = Field(None, description="Set if the run is paused from the start.")


class Started(InTurn):
    """The data of `run.started`."""

    upstream_status: str | None = Field(description="Codegen's own word.")
    web_url: str | None = Field(None, description="The run at Codegen.")


class StatusChanged(Part):
    """The data of `run.status_changed`."""

    before: StatusWord = Field(alias="from")
    to: StatusWord
    upstream_status: str | None = Field(description="Codegen's own word.")
    paused_scope: Literal["queue_only"] | None = Field(None, description="Whether the run is paused now.")
    result_preview: str | None = Field(None, description="The first characters of a result that came after the end.")


class LogEntry(Part):
    """The data of `run.log` and `run.log_updated`."""

    position: int = Field(ge=0, description="The position of the entry in the log, from 0.")
    log: dict[str, Any] = Field(description="The fields of the entry as Codegen returns them: see `AgentRunLog`.")
    truncated: bool = Field(False, description="Whether large fields of `log` are only previews: see `link`.")


class PullRequest(BaseModel):
    """A pull request of a run."""

    model_config = ConfigDict(extra="allow")

    id: int
    title: str | None = None
    url: str | None = None
    created_at: str | None = None
    head_branch_name: str | None = None


class PullRequestOpened(InTurn):
    """The data of `run.pr_opened`."""

    pull_request: PullRequest


class CancelRequested(InTurn):
    """The data of `run.cancel_requested`."""

    means: Literal["pr_ban", "local"] = Field(description="`pr_ban` if the caller permits a ban of the pull request.")
    reason: str | None = Field(description="The caller's reason.")
    requested_by: str = Field(description="The caller, such as `user:789`.")


class CancelUnconfirmed(InTurn):
    """The data of `run.cancel_unconfirmed`."""

    upstream_status: str | None = Field(description="Codegen's own word.")
    reason: str = Field(description="Why the run was not stopped.")


class Ended(InTurn):
    """The data of an event that ends a turn."""

    status: StatusWord
    upstream_status: str | None = Field(description="Codegen's own word.")
    reason: str | None = Field(description="Why the run ended, if it did not end by itself.")
    result_preview: str | None = Field(description="The first 500 characters of the result.")
    summary: str | None = Field(description="The first 500 characters of the agent's summary.")


class CheckpointCreated(InTurn):
    """The data of `checkpoint.created`."""

    checkpoint_id: str
    reason: Literal["start", "follow_up", "plan", "pull_request", "end", "manual"]
    summary: str | None
    hash: str
    position: int | None = Field(None, description="The log entry after which the checkpoint was made.")


class BudgetWarning(Part):
    """The data of `budget.warning`."""

    budget: Literal[
        "runs_per_day", "runs_per_month", "follow_ups_per_day", "concurrent_runs", "candidates_per_multi_run"
    ]
    scope: Literal["organization", "caller"] = Field(description="`caller` for the budget of who started the run.")
    limit: int
    used: int
    resets_at: str | None = Field(description="When the count begins again at 0; null if it does not depend on time.")


class Reset(Part):
    """The data of `stream.reset`."""

    reason: str


class MultiRunCreated(Part):
    """The data of `multi_run.created`."""

    strategy: Strategy
    requested: int = Field(description="The number of candidates.")
    quorum: int
    second_wave: list[int] = Field([], description="The indexes of the candidates of the second wave.")
    from_checkpoint: str | None = Field(None, description="The id of the checkpoint that all candidates start from.")
    created_by: str = Field(description="The caller, such as `user:789`.")


class Launching(Part):
    """The data of `multi_run.launching`."""

    candidates: list[int] = Field(description="The indexes of the candidates.")
    best: list[int] = Field(
        [], description="For the second wave: the candidates whose summaries it gets, the best first."
    )


class CandidateAdded(Part):
    """The data of `multi_run.candidate_added`."""

    candidate: int
    model: str | None
    agent_type: str | None
    requested_by: str


class CandidatesDropped(Part):
    """The data of `multi_run.candidates_dropped`."""

    candidates: list[int]
    reason: str
    requested_by: str | None = Field(description="The caller; null if the multi-run does not need them.")


class CandidateFinished(Part):
    """The data of `multi_run.candidate_finished`."""

    candidate: int = Field(description="The index of the candidate.")
    agent_run_id: int | None = Field(description="Null if the run was never launched.")
    status: StatusWord
    usable: bool
    reason: str | None = Field(description="Why the candidate is not usable.")
    finished_count: int = Field(description="How many candidates have ended.")
    usable_count: int = Field(description="How many candidates are usable so far.")


class QuorumMet(Part):
    """The data of `multi_run.quorum_met`."""

    quorum: int
    usable_count: int


class Gap(Part):
    """A candidate without a usable answer."""

    candidate: int
    reason: str | None


class Degraded(Part):
    """The data of `multi_run.degraded`."""

    gaps: list[Gap]
    usable_count: int


class Judging(Part):
    """The data of `multi_run.judging`."""

    judges: list[int] = Field(description="The numbers of the judge runs, from 1.")
    candidates: list[int] = Field(description="The candidates that they rank.")
    again: bool = Field(description="Whether they compare pairs again that earlier judges contradict.")


class Judged(Part):
    """The data of `multi_run.judged`."""

    ranking: list[int] = Field(description="The usable candidates, the best first.")
    by_judges: bool = Field(description="Whether verdicts of judges decided the first place; else the evidence did.")
    reason: str | None = Field(description="Why no judge was asked, or why the verdicts do not decide.")
    contradictions: list[tuple[int, int]] = Field(
        description="Pairs of candidates about which the judges contradict each other; at most 20."
    )
    none_acceptable: bool = Field(description="Whether the judges found no candidate acceptable.")


class Synthesizing(Part):
    """The data of `multi_run.synthesizing`."""

    candidates: list[int] = Field(description="The candidates whose answers are joined.")
    base: int | None = Field(None, description="The candidate that takes over parts of these.")
    synthesis: int = Field(1, description="The number of the synthesis run, from 1.")


class SynthesisRejected(Part):
    """The data of `multi_run.synthesis_rejected`."""

    synthesis: int = Field(description="The number of the synthesis run.")
    reason: str
    last: bool = Field(description="Whether no other synthesis follows. Then the best candidate's answer is used.")


class MultiRunPaused(Part):
    """The data of `multi_run.paused`."""

    paused_scope: Literal["queue_only"]


class Nothing(Part):
    """No data."""


class MultiRunCancelled(Part):
    """The data of `multi_run.cancelled`."""

    requested_by: str
    reason: str | None = Field(description="The caller's reason.")


class MultiRunFailed(Part):
    """The data of `multi_run.failed`."""

    reason: str = Field(description="The first 500 characters of the reason.")


class MultiRunCompleted(Part):
    """The data of `multi_run.completed`."""

    source: AnswerSource | None = Field(description="Where the answer comes from. Null if there is none.")
    candidate: int | None = Field(description="The candidate whose words the answer has.")
    reason: str | None = Field(description="Why the answer has this source.")


class CandidateRetried(Part):
    """The data of `multi_run.candidate_retried`."""

    candidate: int
    attempt: int = Field(description="The number of the attempt, from 1. It stays if the run had not ended.")
    requested_by: str


class Resynthesizing(Part):
    """The data of `multi_run.resynthesizing`."""

    candidates: list[int] = Field(description="The candidates whose answers are combined.")
    strategy: Strategy
    requested_by: str


class Picked(Part):
    """The data of `multi_run.picked`."""

    candidate: int
    picked_by: str = Field(description="The caller, such as `user:789`.")
    reason: str | None = Field(description="The caller's reason.")
    replaced: int | None = Field(description="The candidate that was picked before.")


class Unpicked(Part):
    """The data of `multi_run.unpicked`."""

    candidate: int = Field(description="The candidate that was picked.")
    unpicked_by: str


class PullRequestClosed(Part):
    """The data of `multi_run.pull_request_closed`."""

    candidate: int
    pull_request_id: int = Field(description="Codegen's id.")
    closed_by: str


class PullRequestKept(Part):
    """The data of `multi_run.pull_request_kept`."""

    candidate: int
    pull_request_id: int = Field(description="Codegen's id.")
    reason: str = Field(description="Why it was not closed.")


class Grafted(Part):
    """The data of `multi_run.grafted`."""

    candidate: int | None = Field(description="The base.")
    outcome: Literal["sent", "not_sent", "unknown"]
    problem: str | None


class RunEvent(Part):
    """The fields of every event."""

    id: EventId = Field(description="Send it as `after` to get the events that follow this one.")
    epoch: int = Field(description="How often the Codegen API had rewritten the run's history before this event.")
    seq: int = Field(description="The number of the event in its log, without gaps.")
    run_id: int | None = Field(None, description="Null before the launch of the run, and for an event of a multi-run.")
    ts: str = Field(description="When the event was stored.")
    v: Literal[1]
    link: str | None = Field(None, description="Where to read the whole entry, if `data` contains only previews of it.")


class RunQueuedEvent(RunEvent):
    """The run waits for its launch. It is the first event of a run of a multi-run, and of a run that is held back."""

    type: Literal["run.queued"]
    data: Queued


class RunStartedEvent(RunEvent):
    """The run is at work."""

    type: Literal["run.started"]
    data: Started


class RunStatusChangedEvent(RunEvent):
    """The status, Codegen's own word for it, or the pause has changed, or a result came after the end."""

    type: Literal["run.status_changed"]
    data: StatusChanged


class RunLogEvent(RunEvent):
    """The log has a new entry."""

    type: Literal["run.log"]
    data: LogEntry


class RunLogUpdatedEvent(RunEvent):
    """An entry of the log has changed. Replace the entry at `position`."""

    type: Literal["run.log_updated"]
    data: LogEntry


class RunPrOpenedEvent(RunEvent):
    """The agent has opened a pull request."""

    type: Literal["run.pr_opened"]
    data: PullRequestOpened


class RunCancelRequestedEvent(RunEvent):
    """A caller has cancelled the run. Codegen has not confirmed it yet."""

    type: Literal["run.cancel_requested"]
    data: CancelRequested


class RunCancelUnconfirmedEvent(RunEvent):
    """The run was not stopped and continues. You can cancel it again."""

    type: Literal["run.cancel_unconfirmed"]
    data: CancelUnconfirmed


class RunCompletedEvent(RunEvent):
    """The turn has ended: the agent has finished its work."""

    type: Literal["run.completed"]
    data: Ended


class RunIncompleteEvent(RunEvent):
    """The turn has ended: the agent has reached a limit before it finished."""

    type: Literal["run.incomplete"]
    data: Ended


class RunFailedEvent(RunEvent):
    """The turn has ended with an error."""

    type: Literal["run.failed"]
    data: Ended


class RunCancelledEvent(RunEvent):
    """The turn has ended: the run was stopped."""

    type: Literal["run.cancelled"]
    data: Ended


class RunTimedOutEvent(RunEvent):
    """The turn has ended: its time was over."""

    type: Literal["run.timed_out"]
    data: Ended


class CheckpointCreatedEvent(RunEvent):
    """The run has a new checkpoint, to which you can return."""

    type: Literal["checkpoint.created"]
    data: CheckpointCreated


class BudgetWarningEvent(RunEvent):
    """With this run or multi-run, a budget is used to 80 % or more."""

    type: Literal["budget.warning"]
    data: BudgetWarning


class StreamResetEvent(RunEvent):
    """Codegen has rewritten the log. Discard the log entries that you have: the log is sent again from its start."""

    type: Literal["stream.reset"]
    data: Reset


class MultiRunCreatedEvent(RunEvent):
    """A caller created the multi-run. It is the first event of its log."""

    type: Literal["multi_run.created"]
    data: MultiRunCreated


class MultiRunLaunchingEvent(RunEvent):
    """Candidates enter the launch queue: with `adaptive` or `second_wave` those of the next wave, otherwise all."""

    type: Literal["multi_run.launching"]
    data: Launching


class MultiRunCandidateFinishedEvent(RunEvent):
    """The run of a candidate has ended, or was given up."""

    type: Literal["multi_run.candidate_finished"]
    data: CandidateFinished


class MultiRunCandidateAddedEvent(RunEvent):
    """A caller added a candidate."""

    type: Literal["multi_run.candidate_added"]
    data: CandidateAdded


class MultiRunCandidatesDroppedEvent(RunEvent):
    """Candidates do not count any more. Those that are not launched are cancelled; others may continue at Codegen."""

    type: Literal["multi_run.candidates_dropped"]
    data: CandidatesDropped


class MultiRunQuorumMetEvent(RunEvent):
    """There are as many usable answers as the multi-run requires."""

    type: Literal["multi_run.quorum_met"]
    data: QuorumMet


class MultiRunDegradedEvent(RunEvent):
    """No further candidate will come, and some have no usable answer. There are enough others."""

    type: Literal["multi_run.degraded"]
    data: Degraded


class MultiRunJudgingEvent(RunEvent):
    """Judge runs enter the launch queue."""

    type: Literal["multi_run.judging"]
    data: Judging


class MultiRunJudgedEvent(RunEvent):
    """The usable candidates are ranked, by judges or by the evidence of their runs."""

    type: Literal["multi_run.judged"]
    data: Judged


class MultiRunSynthesizingEvent(RunEvent):
    """The synthesis run enters the launch queue."""

    type: Literal["multi_run.synthesizing"]
    data: Synthesizing


class MultiRunSynthesisRejectedEvent(RunEvent):
    """The output of the synthesis run is not acceptable."""

    type: Literal["multi_run.synthesis_rejected"]
    data: SynthesisRejected


class MultiRunPausedEvent(RunEvent):
    """A caller paused the multi-run: it launches nothing more until it is resumed."""

    type: Literal["multi_run.paused"]
    data: MultiRunPaused


class MultiRunResumedEvent(RunEvent):
    """A caller resumed the multi-run."""

    type: Literal["multi_run.resumed"]
    data: Nothing


class MultiRunCompletedEvent(RunEvent):
    """The multi-run has ended with its answer."""

    type: Literal["multi_run.completed"]
    data: MultiRunCompleted


class MultiRunFailedEvent(RunEvent):
    """The multi-run has ended without an answer."""

    type: Literal["multi_run.failed"]
    data: MultiRunFailed


class MultiRunCancelledEvent(RunEvent):
    """A caller cancelled the multi-run."""

    type: Literal["multi_run.cancelled"]
    data: MultiRunCancelled


class MultiRunCandidateRetriedEvent(RunEvent):
    """A caller has a candidate run again, and the multi-run goes on."""

    type: Literal["multi_run.candidate_retried"]
    data: CandidateRetried


class MultiRunResynthesizingEvent(RunEvent):
    """A caller has the answers combined again, and the multi-run goes on."""

    type: Literal["multi_run.resynthesizing"]
    data: Resynthesizing


class MultiRunPickedEvent(RunEvent):
    """A caller picked a candidate, whose answer is the answer of the multi-run now."""

    type: Literal["multi_run.picked"]
    data: Picked


class MultiRunUnpickedEvent(RunEvent):
    """A caller undid the pick."""

    type: Literal["multi_run.unpicked"]
    data: Unpicked


class MultiRunPullRequestClosedEvent(RunEvent):
    """The pull request of a candidate was closed, because another one was picked or selected with `close_losers`."""

    type: Literal["multi_run.pull_request_closed"]
    data: PullRequestClosed


class MultiRunPullRequestKeptEvent(RunEvent):
    """The same request did not close this pull request: it may hold the work of others, or Codegen refused."""

    type: Literal["multi_run.pull_request_kept"]
    data: PullRequestKept


class MultiRunGraftedEvent(RunEvent):
    """The base was sent what it should take over from other candidates, or could not be sent it."""

    type: Literal["multi_run.grafted"]
    data: Grafted


EVENTS: tuple[type[RunEvent], ...] = tuple(RunEvent.__subclasses__())
TYPES = {event.model_fields["type"].annotation.__args__[0]: event for event in EVENTS}  # type: ignore[union-attr]


class EventPreview(RunEvent):
    """An event that is too large for a WebSocket frame. `link` leads to the whole."""

    type: str
    data: dict[str, Any] = Field(description="`turn`, `status` and `position` where the event has them; `truncated`.")


def fault(event: Json) -> str | None:
    """Return why an event, without its id, does not fit its schema; None if it does."""
    model = TYPES.get(event["type"])
    if model is None:
        return f"{event['type']} has no schema: add one to local/openapi_events.py and a section to docs/events.md"
    try:
        TypeAdapter(model).validate_python({"id": "{epoch}-{seq}".format(**event)} | event, strict=False)
    except ValueError as error:
        return str(error)
    return None


@cache
def examples() -> dict[str, Json]:
    """Return the example of each type on docs/events.md. Tests write the same events with the code."""
    sections = re.findall(r"(?ms)^### `([a-z_.]+)`$.*?^```json\n(.*?)^```", PAGE.read_text("utf-8"))
    return {type_: json.loads(example) for type_, example in sections}


def schemas() -> Json:
    """Return the schemas of the events and of the frames, by name. `EventEntry` is the union of the events."""
    models: list[type[RunEvent]] = [*EVENTS, EventPreview]
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    found: Json = definitions["$defs"]
    for type_, model in TYPES.items():
        schema = found[model.__name__]
        schema["required"] = [*schema["required"], "run_id"]
        schema["examples"] = [examples()[type_]]
    union = {
        "title": "EventEntry",
        "description": "One event of a run or of a multi-run. `type` says which.",
        "oneOf": [{"$ref": _reference(model.__name__)} for model in EVENTS],
        "discriminator": {
            "propertyName": "type",
            "mapping": {type_: _reference(model.__name__) for type_, model in TYPES.items()},
        },
    }
    return found | {"EventEntry": union} | _frames()


def _reference(name: str) -> str:
    return f"#/components/schemas/{name}"


def _object(description: str, required: list[str], **properties: Json) -> Json:
    return {"type": "object", "description": description, "required": required, "properties": properties}


def _frames() -> Json:
    """Return the schemas of the frames of server-sent events and of the WebSocket."""
    text: Json = {"type": "string"}
    number: Json = {"type": "integer"}
    cursor: Json = {"type": "string", "pattern": "^[0-9]+-[0-9]+$"}
    names = [type_.replace(".", "_") for type_ in TYPES]
    ends = [name for name, model in zip(names, EVENTS, strict=True) if model.model_fields["data"].annotation is Ended]
    event = _object(
        "An event. `event` is its type with `_` for `.`.",
        ["id", "event", "data"],
        id={**text, "description": "The id of the event. Continue with it as `Last-Event-ID` or `after`."},
        event={"enum": names},
        data={"$ref": _reference("EventEntry")},
    )
    end = _object(
        "The last frame.", ["event", "data"], event={"const": "stream_end"}, data=_object("", ["cursor"], cursor=cursor)
    )
    expired = _object("", ["expired"], expired={**number, "description": "How many events are no longer stored."})
    snapshot: Json = {"allOf": [{"$ref": _reference("RunSnapshot")}, expired]}
    multi_run: Json = {"allOf": [{"$ref": _reference("MultiRunState")}, expired]}
    openings = [
        _object("The first frame.", ["event", "data"], event={"const": "run_snapshot"}, data=snapshot),
        _object("The same of a multi-run.", ["event", "data"], event={"const": "multi_run_snapshot"}, data=multi_run),
    ]
    response: Json = {"anyOf": [text, {"type": "null"}]}
    chat = [
        _object("The first frame.", ["event", "data"], event={"const": "run_started"}, data={"type": "object"}),
        _object(
            "The answer.",
            ["event", "data"],
            id=text,
            event={"const": "content_delta"},
            data=_object("", ["content", "run_id"], content=text, run_id=number),
        ),
        _object(
            "The end of the turn, with the whole response.",
            ["id", "event", "data"],
            id=text,
            event={"enum": ends},
            data=_object("", ["turn", "status", "run_id", "response", "metrics"], response=response),
        ),
    ]
    about: Json = {
        "subscription": text,
        "run_id": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "multi_run_id": text,
        "part": {**text, "description": "`multi_run`, the number of a candidate, `judge.{n}`, or `synthesis`."},
    }
    events: Json = {"anyOf": [{"$ref": _reference("EventEntry")}, {"$ref": _reference("EventPreview")}]}
    socket: dict[str, Json] = {
        "subscribed": _object("A subscription has begun.", ["type", "subscription"], **about),
        "snapshot": _object(
            "The run, or the multi-run, as it is now.",
            ["type", "snapshot"],
            **about,
            snapshot={"anyOf": [snapshot, multi_run]},
        ),
        "events": _object("The next events.", ["type", "events"], **about, events={"type": "array", "items": events}),
        "stream.end": _object("The run and the subscription have ended.", ["type", "cursor"], **about, cursor=cursor),
        "unsubscribed": _object("The answer to `unsubscribe`.", ["type"], **about),
        "pong": _object("The answer to `ping`.", ["type"]),
        "error": _object("A problem.", ["type", "error"], **about, error={"$ref": _reference("Problem")}),
    }
    for type_, schema in socket.items():
        schema["properties"]["type"] = {"const": type_}
    return {
        "StreamFrame": {
            "description": "A server-sent event of the view `log`.",
            "oneOf": [*openings, event, end],
        },
        "ChatFrame": {
            "description": "A server-sent event of a chat. The types are those of `view=chat`.",
            "anyOf": [*chat, event, end],
        },
        "WebSocketFrame": {
            "description": "A frame that a WebSocket client receives.",
            "oneOf": list(socket.values()),
        },
    }
