"""Whatever a client sends is either read, or refused with a problem."""

import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.backend import Backend
from codegen_runs.clock import SystemClock
from codegen_runs.cursors import InvalidCursor
from codegen_runs.live import websocket
from codegen_runs.live.reading import parse_cursor
from codegen_runs.live.stream_request import StreamRequest
from codegen_runs.live.tickets import Subject, TicketRefused, Tickets
from codegen_runs.live.websocket import Ping, Subscribe, Unsubscribe
from codegen_runs.problems import Unprocessable
from codegen_runs.runs.following import first_watch
from codegen_runs.storage.table import ConditionFailed, Table
from tests.support.json_values import json_values, texts

messages = st.fixed_dictionaries(
    {"action": st.sampled_from(["subscribe", "unsubscribe", "ping"]) | json_values},
    optional=dict.fromkeys(["run_id", "multi_run_id", "organization_id", "after"], json_values | st.integers(0, 2**63)),
)


def read(content: bytes) -> Any:
    """Read a message; None if it is refused with one of the problems of the protocol."""
    try:
        return websocket.read(content)
    except (websocket.InvalidMessage, websocket.UnknownAction, Unprocessable):
        return None


@given(st.binary())
def test_bytes_are_no_message(content: bytes) -> None:
    assert read(content) is None


@given(json_values | messages)
def test_a_message_is_one_of_the_protocol_or_refused(content: Any) -> None:
    message = read(json.dumps(content).encode())

    assert isinstance(message, Subscribe | Unsubscribe | Ping | None)
    if isinstance(message, Subscribe | Unsubscribe):
        assert (message.run_id is None) != (message.multi_run_id is None)


@given(
    st.dictionaries(st.sampled_from(["after", "poll_interval", "view", "ticket"]) | texts, texts, max_size=4),
    st.dictionaries(st.sampled_from(["agent_run_id", "multi_run_id"]), texts, max_size=2),
    st.none() | texts,
)
def test_a_request_for_a_stream_is_read_or_refused(
    query: dict[str, str], path: dict[str, str], last_id: str | None
) -> None:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    event = {"queryStringParameters": query, "pathParameters": path, "headers": headers}
    try:
        request = StreamRequest.read(event, 123)
    except Unprocessable:
        return

    assert 0.5 <= request.poll_interval <= 10
    assert request.view in ("log", "chat")
    assert request.after == (query.get("after") if last_id is None else last_id)


@given(texts | st.from_regex(r"[0-9]{1,4}-[0-9]{1,10}(~[A-Za-z0-9_-]*)?", fullmatch=True))
def test_a_cursor_names_an_event_of_the_log_or_is_refused(text: str) -> None:
    watch = first_watch(org_id=123, agent_run_id=7, status="ACTIVE", now=0).model_copy(update={"seq": 40, "epoch": 2})
    try:
        place = parse_cursor(text, watch)
    except InvalidCursor:
        return

    assert place == tuple(map(int, text.partition("~")[0].split("-")))
    assert place <= (2, 40)


class Nothing:
    """A table without items."""

    def get(self, key: Any) -> None:
        return None

    def take(self, key: Any, condition: Any) -> Any:
        raise ConditionFailed


@given(texts)
def test_any_text_is_no_ticket_and_no_stream_key(text: str) -> None:
    tickets = Tickets(Backend(callers=cast(Table, Nothing()), clock=SystemClock()))

    for subject in (None, Subject(123, agent_run_id=7)):
        with pytest.raises(TicketRefused):
            tickets.redeem(text, subject)
    with pytest.raises(TicketRefused):
        tickets.resume(text, Subject(123, agent_run_id=7))
