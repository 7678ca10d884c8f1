"""The WebSocket protocol: the messages of a client, and what they do.

| action        | fields                                                             |
|---------------|--------------------------------------------------------------------|
| `subscribe`   | `run_id` or `multi_run_id`; optional `organization_id` and `after` |
| `unsubscribe` | `run_id` or `multi_run_id`; optional `organization_id`             |
| `ping`        |                                                                    |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import from_json

from codegen_runs import forms, problems
from codegen_runs.backend import Backend
from codegen_runs.bodies import unfit
from codegen_runs.clock import milliseconds
from codegen_runs.cursors import InvalidCursor
from codegen_runs.http import admission
from codegen_runs.http.proxy import decoded
from codegen_runs.live.connections import Connections
from codegen_runs.live.push import Sender
from codegen_runs.live.reading import START, Reader, RunReader, open_reader, parse_cursor
from codegen_runs.live.tickets import Subject
from codegen_runs.live.viewers import TooManyMessages, count_message
from codegen_runs.live.websocket_frames import frame
from codegen_runs.problems import BadRequest, Conflict, TicketForAnother, Unprocessable
from codegen_runs.runs.following import view
from codegen_runs.storage.connections import PART, Connection, Subscription
from codegen_runs.storage.multi_runs import MultiRun

MAX_RUNS = 100

_VIEW_ATTEMPTS = 3


class InvalidMessage(BadRequest):
    """The message is not a JSON object."""

    code = "invalid_message"
    remedy = 'Send a JSON object such as {"action": "subscribe", "run_id": 1}.'


class UnknownAction(BadRequest):
    """The message has no known action."""

    code = "unknown_action"
    remedy = "Send one of the actions subscribe, unsubscribe and ping."


class ConnectionUnknown(Conflict):
    """The connection is not stored, or no longer."""

    code = "connection_unknown"
    remedy = "Connect again."


class TooManyRuns(Conflict):
    """The connection would have too many subscriptions."""

    code = "too_many_runs"
    remedy = "Unsubscribe from other runs first, or open another connection."


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _AboutRuns(_Message):
    run_id: int | None = Field(None, ge=1, lt=2**63)
    multi_run_id: str | None = Field(None, pattern=forms.MULTI_RUN)
    organization_id: int | None = Field(None, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.run_id is None) == (self.multi_run_id is None):
            raise unfit("Give either run_id or multi_run_id.")
        return self


class Subscribe(_AboutRuns):
    """Follow a run, or a multi-run with all its runs."""

    action: Literal["subscribe"]
    after: str | dict[str, str] | None = None
    """The id of the last event seen; for a multi-run, one id for each part with events seen."""

    @model_validator(mode="after")
    def _fitting_cursor(self) -> Self:
        if self.after is not None and isinstance(self.after, str) != (self.run_id is not None):
            message = "Input should be an event id for a run, an object of parts and event ids for a multi-run"
            raise unfit(message, "after")
        return self


class Unsubscribe(_AboutRuns):
    """Stop following a run, or a multi-run with all its runs."""

    action: Literal["unsubscribe"]


class Ping(_Message):
    """Keep the connection open."""

    action: Literal["ping"]


Message = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="action")]
_messages: TypeAdapter[Subscribe | Unsubscribe | Ping] = TypeAdapter(Message)


def read(content: bytes) -> Subscribe | Unsubscribe | Ping:
    """Read a message. Raises `InvalidMessage`, `UnknownAction`, `Unprocessable`."""
    try:
        message = from_json(decoded(content), allow_inf_nan=False)
    except ValueError as error:
        raise InvalidMessage(f"The message is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidMessage("The message is not a JSON object.")
    try:
        return _messages.validate_python(message)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        if faults[0]["type"].startswith("union_tag"):
            raise UnknownAction("The message has no known action.") from None
        # Pydantic puts the action first in each location.
        raise Unprocessable(
            errors=[
                {"loc": ["message", *fault["loc"][1:]], "msg": fault["msg"], "type": fault["type"]} for fault in faults
            ]
        ) from None


@dataclass(frozen=True)
class Session:
    """Answers the messages of clients.

    Attributes:
        backend: What to work with. Its Codegen client acts as the deployment, to find runs that are not followed yet.
        connections: The open connections.
    """

    backend: Backend
    connections: Connections

    def answer(self, connection_id: str, content: bytes, *, request_id: str, until: float) -> str | None:
        """Execute a message, and answer it with frames.

        Args:
            connection_id: The connection that sent the message.
            content: The message.
            request_id: The request id of a problem.
            until: The epoch second at which to stop sending; the poller sends the rest.

        Returns:
            The code of the problem, or None if there was none.

        Raises:
            Gone, Congested, EffectUnknown: A frame could not be sent.
        """
        action = None
        try:
            count_message(connection_id, backend=self.backend)
            message = read(content)
            action = message.action
            match message:
                case Ping():
                    self.connections.post(connection_id, frame("pong"))
                case Subscribe():
                    self._subscribe(self._connection(connection_id), message, until)
                case Unsubscribe():
                    self._unsubscribe(self._connection(connection_id), message)
        except Exception as error:
            problem = problems.of(error)
            if problem.status == problems.InternalError.status:
                raise
            rendered = problems.render(problem, f"websocket:{action or 'message'}", request_id)
            self.connections.post(connection_id, frame("error", action=action, error=rendered))
            if isinstance(problem, TooManyMessages):
                self.connections.close(connection_id)
            return problem.code
        return None

    def _connection(self, connection_id: str) -> Connection:
        connection = self.backend.connections.get(connection_id)
        if connection is None:
            raise ConnectionUnknown("This connection is no longer known.")
        return connection

    def _subscribe(self, connection: Connection, message: Subscribe, until: float) -> None:
        org_id = _organization(connection, message)
        subject = Subject(org_id, message.run_id, message.multi_run_id)
        if connection.subject not in (None, subject.name):
            raise TicketForAnother("This connection was opened with a ticket for another run.")
        if message.run_id is not None:
            subscriptions = [self._run_subscription(connection, message, org_id)]
        else:
            subscriptions = list(self._multi_run_subscriptions(connection, message, org_id))
        followed = {(other.org_id, other.key) for other in self.backend.connections.followed(connection.id)}
        if len(followed | {(new.org_id, new.key) for new in subscriptions}) > MAX_RUNS:
            raise TooManyRuns(f"A connection can follow at most {MAX_RUNS} runs.")
        parts = {"parts": [new.part for new in subscriptions]} if message.multi_run_id is not None else {}
        self.connections.post(
            connection.id,
            frame("subscribed", subscription=subscriptions[0].id, **_run_ids(message), organization_id=org_id, **parts),
        )
        all_sent = True
        for subscription in subscriptions:
            all_sent &= self.sender.begin(subscription, until=until)
            self._view(org_id, subscription.key)
        if not all_sent:
            self.backend.kick()

    @property
    def sender(self) -> Sender:
        """The sender to the subscriptions."""
        return Sender(self.backend, self.connections)

    def _run_subscription(self, connection: Connection, message: Subscribe, org_id: int) -> Subscription:
        assert message.run_id is not None  # noqa: S101 - a message names one of the two
        assert not isinstance(message.after, dict)  # noqa: S101 - see `Subscribe`
        reader = open_reader(
            org_id=org_id,
            agent_run_id=message.run_id,
            after=message.after,
            caller=connection.caller(),
            backend=self.backend,
        )
        _check_kept(reader)
        key, run_id = reader.watch.key, message.run_id
        return self._subscription(connection, uuid4().hex, key, org_id, reader.after, run_id=run_id)

    def _multi_run_subscriptions(
        self, connection: Connection, message: Subscribe, org_id: int
    ) -> Iterator[Subscription]:
        # Imported here, because the models of multi-runs take long, and few subscriptions are to one.
        from codegen_runs.live.multi_runs import MultiRunReader
        from codegen_runs.multi_runs import service

        assert message.multi_run_id is not None  # noqa: S101 - a message names one of the two
        multi_run = service.find(org_id, message.multi_run_id, backend=self.backend)
        parts, after = _parts(multi_run), message.after if isinstance(message.after, dict) else {}
        if after.keys() - parts.keys():
            raise InvalidCursor("A cursor names a part that this multi-run does not have.")
        watches = self.backend.runs.get_many(org_id, [key for part, key in parts.items() if part != PART])
        readers: dict[str, Reader[Any]] = {key: RunReader(self.backend, watch) for key, watch in watches.items()}
        readers[multi_run.key] = MultiRunReader(self.backend, multi_run)
        id_ = uuid4().hex
        for part, key in parts.items():
            cursor = self._cursor(after.get(part), readers.get(key))
            yield self._subscription(connection, id_, key, org_id, cursor, multi_run_id=multi_run.id, part=part)

    def _cursor(self, text: str | None, reader: Reader[Any] | None) -> tuple[int, int]:
        if text is None:
            return START
        if reader is None:
            raise InvalidCursor("A cursor is for a run that has not begun.")
        reader = replace(reader, after=parse_cursor(text, reader.followed))
        _check_kept(reader)
        return reader.after

    def _subscription(
        self, connection: Connection, id_: str, key: str, org_id: int, cursor: tuple[int, int], **target: Any
    ) -> Subscription:
        return Subscription(
            connection_id=connection.id,
            org_id=org_id,
            key=key,
            id=id_,
            epoch=cursor[0],
            seq=cursor[1],
            due_at=milliseconds(self.backend.clock.now()),
            expires_at=connection.expires_at,
            **target,
        )

    def _view(self, org_id: int, key: str) -> None:
        """Record that the run has a viewer. Try several times: a subscription, unlike a stream, does not repeat it."""
        for _ in range(_VIEW_ATTEMPTS):
            watch, now = self.backend.runs.get(org_id, key), self.backend.clock.now()
            if watch is None or watch.due_at is None or (watch.viewed_until or 0) > now * 1000:
                return
            view(watch, backend=self.backend)

    def _unsubscribe(self, connection: Connection, message: Unsubscribe) -> None:
        org_id = _organization(connection, message)
        if message.run_id is not None:
            watch = self.backend.runs.find(org_id, message.run_id)
            keys = [watch.key] if watch else []
        else:
            multi_run = self.backend.multi_runs.get(org_id, message.multi_run_id or "")
            keys = list(_parts(multi_run).values()) if multi_run else []
        for key in keys:
            self.backend.connections.unsubscribe(connection.id, org_id, key)
        self.connections.post(connection.id, frame("unsubscribed", **_run_ids(message), organization_id=org_id))


def _organization(connection: Connection, message: _AboutRuns) -> int:
    return admission.organization(connection.caller(), message.organization_id)


def _run_ids(message: _AboutRuns) -> Mapping[str, Any]:
    if message.run_id is not None:
        return {"run_id": message.run_id}
    return {"multi_run_id": message.multi_run_id}


def _parts(multi_run: MultiRun) -> dict[str, str]:
    """Return the keys of the event logs of a multi-run and of its runs, by part."""
    candidates = {str(index): key for index, key in enumerate(multi_run.candidate_keys)}
    internal = {key.removeprefix(f"{multi_run.id}-"): key for key in multi_run.internal_keys}
    return {PART: multi_run.key} | candidates | internal


def _check_kept(reader: Reader[Any]) -> None:
    """Raise `CursorExpired` if events after the reader's cursor are no longer stored, unless it is at the start."""
    if reader.after != START:
        replace(reader).next(limit=1)
