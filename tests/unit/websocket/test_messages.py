"""Connecting, and what a client's messages do."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from codegen_api import CodegenAPI
from codegen_runs import callers, upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.live.push import Publisher
from codegen_runs.live.tickets import Subject, Tickets
from codegen_runs.live.websocket import Session
from codegen_runs.multi_runs import recording, transitions
from codegen_runs.poller.loop import Poller
from codegen_runs.runs import following
from codegen_runs.storage.connections import Connection, ConnectionsTable, Subscription
from codegen_runs.storage.runs import Launch, RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, FakeTransport, Script, Trouble
from local.template import Template
from tests.support import handlers
from tests.support.backend import Kicks, TestClock, Tokens
from tests.support.events import Context, current, invoke, working_with
from tests.support.schemas import unfit
from tests.unit.multi_runs import records
from tests.unit.websocket.fakes import FakeConnections, events

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({DEMO_ORG_ID, 124}), token=DEMO_TOKEN)
ELSEWHERE = 999


@pytest.fixture(autouse=True)
def _upstream(deployed: Template, fake: FakeCodegen, clock: TestClock) -> Iterator[None]:
    with upstream.over(FakeTransport(fake)), working_with(Backend(clock=clock, kick=Kicks())):
        yield


@pytest.fixture
def table(deployed: Template) -> ConnectionsTable:
    return ConnectionsTable(deployed.tables["ConnectionsTable"].name)


@pytest.fixture
def connections() -> Iterator[FakeConnections]:
    """The connections. Every frame that a client gets has the documented form."""
    connections = FakeConnections()
    yield connections
    for frames in connections.frames.values():
        first_of_each_kind = {_kind(frame): frame for frame in reversed(frames)}.values()
        if first_of_each_kind:
            assert unfit(first_of_each_kind, "WebSocketFrame") == []


def _kind(frame: dict[str, Any]) -> str:
    return f"{frame['type']} {sorted({event['type'] for event in frame.get('events', ())})}"


class Client:
    """A connected client."""

    def __init__(self, session: Session, connection_id: str, frames: list[dict[str, Any]]) -> None:
        self.id = connection_id
        self.frames = frames
        self._session = session

    def send(self, message: Any = None, **content: Any) -> list[dict[str, Any]]:
        """Send a message and return the frames that come at once."""
        seen = len(self.frames)
        body = message if message is not None else json.dumps(content)
        body = body if isinstance(body, bytes) else body.encode()
        self._session.answer(self.id, body, request_id="a-request", until=self._session.backend.clock.now() + 20)
        return self.frames[seen:]


@pytest.fixture
def session(
    deployed: Template, table: ConnectionsTable, runs: RunsTable, codegen: CodegenAPI, clock: TestClock,
    connections: FakeConnections,
) -> Session:  # fmt: skip
    backend = Backend(connections=table, runs=runs, codegen=codegen, clock=clock, kick=Kicks())
    return Session(backend, connections)


@pytest.fixture
def connect(session: Session, table: ConnectionsTable, connections: FakeConnections, clock: TestClock) -> Any:
    def connect(connection_id: str = "ada=", subject: str | None = None, **changes: Any) -> Client:
        opened = Connection.opened(connection_id, ADA, subject, now=clock.now()).model_copy(update=changes)
        table.add(opened)
        return Client(session, connection_id, connections.open(connection_id))

    return connect


@pytest.fixture
def client(connect: Callable[..., Client]) -> Client:
    return connect()


@pytest.fixture
def poll(runs: RunsTable, codegen: CodegenAPI, clock: TestClock, session: Session) -> Callable[[float], None]:
    publisher = Publisher(session.sender, session.backend)
    poller = Poller(
        runs=runs, codegen=codegen, tokens=Tokens(), clock=clock, holder="me", concurrency=1, publisher=publisher
    )

    def poll(seconds: float) -> None:
        until = clock.now() + seconds
        for _ in range(100):
            publisher.check()
            poller.tick(until)
            if clock.now() >= until:
                return
            clock.sleep(5)

    return poll


def error(frames: list[dict[str, Any]]) -> dict[str, Any]:
    (frame,) = frames
    assert frame["type"] == "error"
    problem: dict[str, Any] = frame["error"]
    assert problem["request_id"] == "a-request"
    return problem


# --- connecting ------------------------------------------------------------------------------------------------------


def connection_event(kind: str, **more: Any) -> dict[str, Any]:
    context = {"connectionId": "eve=", "eventType": kind, "requestId": "a-request", "stage": "v0"}
    return {"requestContext": context, **more}


def test_a_token_opens_a_connection_that_knows_its_caller_and_not_the_token(table: ConnectionsTable) -> None:
    event = connection_event("CONNECT", headers={"Authorization": f"Bearer {DEMO_TOKEN}"})
    assert invoke(handlers.handler("live/connect"), event, Context()) == {"statusCode": 200}

    kept = table.get("eve=")
    assert kept is not None
    assert kept.caller().user_id == 789
    assert kept.caller().is_in(DEMO_ORG_ID)
    assert kept.subject is None
    assert DEMO_TOKEN not in kept.model_dump_json()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a-token-of-nobody"}, {"Authorization": "Basic x"}])
def test_other_callers_are_refused(headers: dict[str, str], table: ConnectionsTable) -> None:
    assert invoke(handlers.handler("live/connect"), connection_event("CONNECT", headers=headers), Context()) == {
        "statusCode": 401
    }
    assert table.get("eve=") is None


def test_a_ticket_admits_once_and_only_to_its_subject(
    deployed: Template, table: ConnectionsTable, clock: TestClock
) -> None:
    tickets = Tickets(current())
    ticket, _ = tickets.issue(ADA, Subject(DEMO_ORG_ID, agent_run_id=7))
    event = connection_event("CONNECT", headers={}, queryStringParameters={"ticket": ticket})
    answers = [invoke(handlers.handler("live/connect"), event, Context())["statusCode"] for _ in range(2)]

    assert answers == [200, 401]
    kept = table.get("eve=")
    assert kept is not None
    assert (kept.subject, kept.organizations) == ("run:7", frozenset({DEMO_ORG_ID}))


def test_a_closed_connection_is_deleted_with_its_subscriptions(
    client: Client, table: ConnectionsTable, codegen: CodegenAPI
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    client.send(action="subscribe", run_id=run.id)
    event = connection_event("DISCONNECT")
    event["requestContext"]["connectionId"] = client.id
    assert invoke(handlers.handler("live/disconnect"), event, Context()) == {"statusCode": 200}

    assert table.get(client.id) is None
    assert table.subscribers(DEMO_ORG_ID, str(run.id)) == []


# --- a run -----------------------------------------------------------------------------------------------------------


def test_an_unfollowed_run_is_followed_from_the_subscription_on(
    client: Client, codegen: CodegenAPI, runs: RunsTable, clock: TestClock
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    subscribed, snapshot = client.send(action="subscribe", run_id=run.id)

    assert subscribed["type"] == "subscribed"
    assert (subscribed["run_id"], subscribed["organization_id"]) == (run.id, DEMO_ORG_ID)
    assert snapshot["type"] == "snapshot"
    assert snapshot["subscription"] == subscribed["subscription"]
    watch = runs.find(DEMO_ORG_ID, run.id)
    assert watch is not None
    assert watch.viewed_until is not None
    assert watch.viewed_until > clock.now() * 1000


def test_a_run_is_followed_to_its_end(
    client: Client, codegen: CodegenAPI, poll: Callable[[float], None], runs: RunsTable, fake: FakeCodegen
) -> None:
    fake.script(Script(steps=120, seconds=40))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    client.send(action="subscribe", run_id=run.id)
    poll(90)

    got = [event["id"] for event in events(client.frames)]
    assert got == [event.id for event in runs.events(DEMO_ORG_ID, str(run.id), limit=1000)]
    assert len(got) > 120
    assert [frame["type"] for frame in client.frames].count("stream.end") == 1
    assert client.frames[-1]["type"] == "stream.end"


def test_a_quiet_run_is_polled_often_while_it_has_a_subscriber(
    client: Client, codegen: CodegenAPI, poll: Callable[[float], None], fake: FakeCodegen
) -> None:
    fake.script(Script(ending="NEVER", steps=0))
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    client.send(action="subscribe", run_id=run.id)
    poll(70)
    before = fake.calls["get_agent_run_logs"]
    poll(20)
    often = fake.calls["get_agent_run_logs"] - before
    client.send(action="unsubscribe", run_id=run.id)
    poll(110)
    before = fake.calls["get_agent_run_logs"]
    poll(20)
    seldom = fake.calls["get_agent_run_logs"] - before

    assert often >= 8
    assert seldom <= 2


def test_an_unsubscribed_run_sends_nothing_more(
    client: Client, codegen: CodegenAPI, poll: Callable[[float], None]
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    client.send(action="subscribe", run_id=run.id)
    (answer,) = client.send(action="unsubscribe", run_id=run.id)
    assert answer == {"type": "unsubscribed", "run_id": run.id, "organization_id": DEMO_ORG_ID}

    seen = len(client.frames)
    poll(30)
    assert len(client.frames) == seen


def test_a_second_subscription_replaces_the_first(
    client: Client, codegen: CodegenAPI, poll: Callable[[float], None], table: ConnectionsTable
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    poll(5)
    (first, *_) = client.send(action="subscribe", run_id=run.id)
    (second, *_) = again = client.send(action="subscribe", run_id=run.id)

    assert first["subscription"] != second["subscription"]
    assert {frame["subscription"] for frame in again} == {second["subscription"]}
    assert len(table.subscribers(DEMO_ORG_ID, str(run.id))) == 1


def test_a_subscription_continues_from_its_cursor_and_at_the_end_reports_the_end(
    client: Client, codegen: CodegenAPI, poll: Callable[[float], None]
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    client.send(action="subscribe", run_id=run.id)
    poll(60)
    whole = [event["id"] for event in events(client.frames)]

    again = client.send(action="subscribe", run_id=run.id, after=whole[2])
    assert [event["id"] for event in events(again)] == whole[3:]
    (_, _, end) = client.send(action="subscribe", run_id=run.id, after=whole[-1])
    assert end["type"] == "stream.end"


def test_a_ping_is_answered(client: Client) -> None:
    assert client.send(action="ping") == [{"type": "pong"}]


# --- a multi-run -----------------------------------------------------------------------------------------------------


@pytest.fixture
def multi_run_id(session: Session) -> str:
    multi_run = records.multi_run()
    session.backend.multi_runs.add(multi_run)
    return multi_run.id


@pytest.fixture
def push(session: Session, connections: FakeConnections, multi_run_id: str) -> Callable[[], None]:
    """Push the events of the multi-run, as the poller does after a kick."""
    publisher = Publisher(session.sender, session.backend)
    return lambda: publisher.catch_up(DEMO_ORG_ID, multi_run_id)


def enqueue(multi_run_id: str, part: str, clock: TestClock) -> None:
    following.enqueue(
        org_id=DEMO_ORG_ID, key=f"{multi_run_id}-{part}", prompt="Say hello.", launch=Launch(), task_token="a-token",
        multi_run_id=multi_run_id, deadline=clock.now() + 3600, backend=current(),
    )  # fmt: skip


def test_a_multi_run_subscription_includes_runs_that_start_later(
    client: Client, multi_run_id: str, clock: TestClock, poll: Callable[[float], None], runs: RunsTable
) -> None:
    enqueue(multi_run_id, "0", clock)
    subscribed, *_ = client.send(action="subscribe", multi_run_id=multi_run_id)
    assert subscribed["parts"] == ["multi_run", "0", "1", "2", "synthesis"]
    for part in ("1", "2"):
        enqueue(multi_run_id, part, clock)
    poll(60)
    enqueue(multi_run_id, "synthesis", clock)
    poll(60)

    for part in subscribed["parts"][1:]:
        frames = [frame for frame in client.frames if frame.get("part") == part]
        log = runs.events(DEMO_ORG_ID, f"{multi_run_id}-{part}", limit=1000)
        assert [event["id"] for event in events(frames)] == [event.id for event in log]
        assert frames[-1]["type"] == "stream.end"
        assert {frame["multi_run_id"] for frame in frames} == {multi_run_id}


def test_the_events_of_a_multi_run_itself_are_a_part_that_continues_from_its_cursor(
    client: Client, multi_run_id: str, clock: TestClock, push: Callable[[], None]
) -> None:
    client.send(action="subscribe", multi_run_id=multi_run_id)
    first = [frame for frame in client.frames if frame.get("part") == "multi_run"]
    assert [frame["type"] for frame in first] == ["snapshot"]
    assert first[0]["snapshot"]["status"] == "queued"
    record = current().multi_runs.get(DEMO_ORG_ID, multi_run_id)
    assert record is not None
    now = clock.now()
    record, _ = recording.update(record, lambda record: transitions.launching(record, [0], now=now), backend=current())
    push()
    seen = len(client.frames)
    recording.update(record, lambda record: transitions.failed(record, "Lost.", now=now), backend=current())
    push()
    live = [frame for frame in client.frames[seen:] if frame.get("part") == "multi_run"]
    again = client.send(action="subscribe", multi_run_id=multi_run_id, after={"multi_run": "0-1"})

    assert [event["type"] for event in events(live)] == ["multi_run.failed"]
    assert [frame["type"] for frame in live] == ["events", "stream.end"]
    replayed = [frame for frame in again if frame.get("part") == "multi_run"]
    assert [event["id"] for event in events(replayed)] == ["0-2"]
    assert {frame["multi_run_id"] for frame in replayed} == {multi_run_id}


def test_each_part_of_a_multi_run_has_its_own_cursor(
    client: Client, multi_run_id: str, clock: TestClock, poll: Callable[[float], None]
) -> None:
    enqueue(multi_run_id, "0", clock)
    enqueue(multi_run_id, "1", clock)
    poll(60)
    frames = client.send(action="subscribe", multi_run_id=multi_run_id, after={"0": "0-2"})
    first = {part: events([frame for frame in frames if frame.get("part") == part])[0]["id"] for part in ("0", "1")}

    assert first == {"0": "0-3", "1": "0-1"}


def test_a_cursor_for_no_run_of_the_multi_run_is_refused(client: Client, multi_run_id: str, clock: TestClock) -> None:
    enqueue(multi_run_id, "0", clock)

    for after in ({"9": "0-1"}, {"0": "nonsense"}, {"synthesis": "0-1"}):
        frames = client.send(action="subscribe", multi_run_id=multi_run_id, after=after)
        assert error(frames)["code"] == "invalid_cursor", after


# --- messages that make no sense -------------------------------------------------------------------------------------


REFUSED = [
    ("", "invalid_message"),
    ("nonsense", "invalid_message"),
    ("[1]", "invalid_message"),
    ("null", "invalid_message"),
    ('{"a": NaN}', "invalid_message"),
    ("[" * 5000, "invalid_message"),
    ("{}", "unknown_action"),
    ('{"action": "dance"}', "unknown_action"),
    ('{"action": 7}', "unknown_action"),
    ('{"action": ["subscribe"]}', "unknown_action"),
    ('{"action": "subscribe"}', "validation_failed"),
    ('{"action": "subscribe", "run_id": "seven"}', "validation_failed"),
    ('{"action": "subscribe", "run_id": -1}', "validation_failed"),
    ('{"action": "subscribe", "run_id": 1e400}', "validation_failed"),
    ('{"action": "subscribe", "run_id": 1, "multi_run_id": "mr-1"}', "validation_failed"),
    ('{"action": "subscribe", "run_id": 1, "after": {"0": "0-1"}}', "validation_failed"),
    ('{"action": "subscribe", "multi_run_id": "mr-1", "after": "0-1"}', "validation_failed"),
    ('{"action": "subscribe", "multi_run_id": "mr#1"}', "validation_failed"),
    ('{"action": "subscribe", "run_id": 99999999}', "not_found"),
    ('{"action": "subscribe", "multi_run_id": "mr-0"}', "multi_run_not_found"),
    ('{"action": "unsubscribe"}', "validation_failed"),
]


def test_a_message_that_cannot_be_served_is_answered_with_its_problem(client: Client) -> None:
    for message, code in REFUSED:
        problem = error(client.send(message))

        assert problem["code"] == code, message
        assert problem["title"]
        assert problem["remedy"]


def test_a_cursor_of_another_run_is_refused(client: Client, codegen: CodegenAPI) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)

    for cursor in ("nonsense", "0-999999", "7-1"):
        assert error(client.send(action="subscribe", run_id=run.id, after=cursor))["code"] == "invalid_cursor"


def test_an_organization_the_caller_is_not_in_is_forbidden(client: Client) -> None:
    assert error(client.send(action="subscribe", run_id=1, organization_id=ELSEWHERE))["status"] == 403


def test_a_run_of_another_tenant_is_not_found(
    connect: Callable[..., Client], client: Client, codegen: CodegenAPI, table: ConnectionsTable
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    client.send(action="subscribe", run_id=run.id)
    stranger = connect("eve=", organizations=frozenset({124}))

    assert error(stranger.send(action="subscribe", run_id=run.id, organization_id=124))["status"] == 404
    assert len(table.subscribers(DEMO_ORG_ID, str(run.id))) == 1


def test_a_ticket_opens_nothing_else(connect: Callable[..., Client], codegen: CodegenAPI) -> None:
    runs = [codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID).id for _ in range(2)]
    visitor = connect("visitor=", subject=f"run:{runs[0]}")

    assert visitor.send(action="subscribe", run_id=runs[0])[0]["type"] == "subscribed"
    assert error(visitor.send(action="subscribe", run_id=runs[1]))["code"] == "ticket_for_another"
    assert error(visitor.send(action="subscribe", multi_run_id="mr-1"))["code"] == "ticket_for_another"


def test_an_unknown_connection_gets_the_advice_to_connect_again(client: Client, table: ConnectionsTable) -> None:
    table.remove(client.id)

    assert error(client.send(action="subscribe", run_id=1))["code"] == "connection_unknown"


def test_a_connection_follows_at_most_a_hundred_runs(
    client: Client, codegen: CodegenAPI, table: ConnectionsTable, clock: TestClock
) -> None:
    last, too_many = (codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID).id for _ in range(2))
    later = round(clock.now()) + 3600
    for number in range(99):
        table.subscribe(
            Subscription(
                connection_id=client.id,
                org_id=DEMO_ORG_ID,
                key=f"mr-{number}",
                id="an-id",
                due_at=later * 1000,
                expires_at=later,
            )
        )

    assert client.send(action="subscribe", run_id=last)[0]["type"] == "subscribed"
    assert error(client.send(action="subscribe", run_id=too_many))["code"] == "too_many_runs"
    assert client.send(action="subscribe", run_id=last)[0]["type"] == "subscribed"


def test_an_upstream_failure_is_reported_and_nothing_is_followed(
    client: Client, codegen: CodegenAPI, fake: FakeCodegen, table: ConnectionsTable
) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    fake.trouble("get_agent_run", Trouble("error"))
    problem = error(client.send(action="subscribe", run_id=run.id))

    assert problem["status"] == 502
    assert problem["retryable"] is True
    assert table.followed(client.id) == []


def test_the_callers_token_is_not_in_the_table(client: Client, codegen: CodegenAPI, deployed: Template) -> None:
    run = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID)
    client.send(action="subscribe", run_id=run.id)
    stored = boto3.client("dynamodb").scan(TableName=deployed.tables["ConnectionsTable"].name)["Items"]

    assert stored
    assert DEMO_TOKEN not in json.dumps(stored)
    assert callers.CODEGEN not in json.dumps(stored)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_message_in_every_encoding_of_json_is_read(client: Client, encoding: str) -> None:
    (answer,) = client.send('{"action": "ping"}'.encode(encoding))

    assert answer["type"] == "pong"


# --- caps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [b'{"action": "ping"}', b"nonsense", b'{"action": "subscribe"}'])
def test_a_message_too_many_is_answered_once_and_closes_the_connection(
    message: bytes, client: Client, connections: FakeConnections, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESSAGES_PER_MINUTE", "3")
    for _ in range(3):
        client.send(message=message)
    clock.sleep(59)
    (frame,) = client.send(message=message)

    assert (frame["type"], frame["error"]["code"], frame["error"]["status"]) == ("error", "too_many_messages", 429)
    assert client.id not in connections.frames


def test_messages_are_counted_by_the_minute(client: Client, clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESSAGES_PER_MINUTE", "1")
    for _ in range(3):
        assert client.send(action="ping") == [{"type": "pong"}]
        clock.sleep(60)


def test_a_user_opens_a_bounded_number_of_connections(monkeypatch: pytest.MonkeyPatch, table: ConnectionsTable) -> None:
    monkeypatch.setenv("CONNECTIONS_PER_CALLER", "2")
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}

    def change(kind: str, connection_id: str) -> int:
        event = connection_event(kind, headers=headers)
        event["requestContext"]["connectionId"] = connection_id
        name = "live/connect" if kind == "CONNECT" else "live/disconnect"
        return int(invoke(handlers.handler(name), event, Context())["statusCode"])

    assert [change("CONNECT", name) for name in ("a=", "b=", "c=")] == [200, 200, 429]
    assert table.get("c=") is None
    change("DISCONNECT", "a=")
    assert change("CONNECT", "c=") == 200


def test_a_message_whose_cursor_does_not_fit_its_subject_is_told_which_field_to_correct(client: Client) -> None:
    problem = error(client.send(action="subscribe", run_id=1, after={"0": "0-1"}))

    (fault,) = problem["errors"]
    assert fault["pointer"] == "/message/after"
    assert fault["detail"].startswith("Input should be an event id for a run")
