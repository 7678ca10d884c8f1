"""The events that an answer of the Codegen API produces."""

import json
from typing import Any

import pytest

from codegen_api import AgentRunLogs
from codegen_runs.events import (
    MAX_DATA_BYTES,
    MAX_OPEN,
    MAX_TAIL,
    Event,
    Position,
    Writer,
    fingerprints,
    is_terminal,
    shorten,
    timestamp,
)
from codegen_runs.redaction import redact
from codegen_runs.secret_forms import MASK
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import EVENTS_PER_WRITE


def log(number: int, **changes: Any) -> dict[str, Any]:
    entry = {
        "agent_run_id": 7,
        "created_at": f"2025-06-21 12:06:31.{number:06d}",
        "message_type": "ACTION",
        "tool_name": "ripgrep_search",
        "tool_input": {"query": f"word {number}"},
        "tool_output": {"matches": number},
        "thought": None,
        "observation": None,
    }
    return entry | changes


def poll(position: Position, history: list[dict[str, Any]], limit: int = 95) -> tuple[list[Event], Position, bool]:
    """Read a history as the poller does: from the last known entry on."""
    logs = history[position.skip : position.skip + limit]
    answer = AgentRunLogs.model_validate({"id": 7, "organization_id": 123, "logs": logs, "total_logs": len(history)})
    writer = Writer(position, run_id=7, now=1_750_000_000)
    more = writer.logs(answer)
    return writer.events, writer.position, more


def test_entries_become_events_once() -> None:
    history = [log(number) for number in range(3)]
    first, position, _ = poll(Position(), history[:2])
    second, position, _ = poll(position, history)
    third, _, _ = poll(position, history)

    assert [event.data["position"] for event in first + second] == [0, 1, 2]
    assert third == []


def test_after_a_full_page_there_is_more_to_read() -> None:
    history = [log(number) for number in range(200)]
    events, position, more = poll(Position(), history)
    assert more
    while more:
        following, position, more = poll(position, history)
        events += following

    assert [event.data["position"] for event in events] == list(range(200))


def test_an_entry_that_was_filled_in_late_has_another_event_with_its_position() -> None:
    _, position, _ = poll(Position(), [log(0), log(1, tool_output=None)])
    events, position, _ = poll(position, [log(0), log(1), log(2)])

    assert [(event.type, event.data["position"]) for event in events] == [("run.log_updated", 1), ("run.log", 2)]
    assert poll(position, [log(0), log(1), log(2)])[0] == []


@pytest.mark.parametrize(
    "history",
    [
        [log(0), log(9), log(2)],
        [log(0)],
        [],
        *([log(0), log(1, **{field: value})] for field, value in [
            ("created_at", "2025-06-21 12:06:32.000000"),
            ("message_type", "ERROR"),
            ("tool_name", "other_tool"),
            ("tool_input", {"query": "another"}),
        ]),
    ],
)  # fmt: skip
def test_a_rewritten_history_begins_a_new_epoch(history: list[dict[str, Any]]) -> None:
    _, position, _ = poll(Position(), [log(0), log(1)])
    reset, position, more = poll(position, history)
    again, position, _ = poll(position, history)

    assert [(event.type, event.epoch, event.seq) for event in reset] == [("stream.reset", 1, 3)]
    assert more
    assert [event.data["log"] for event in again] == history
    assert all(event.epoch == 1 for event in again)


@pytest.mark.parametrize("number", range(2, 12))
def test_an_entry_is_another_step_whatever_the_order_of_their_hashes(number: int) -> None:
    _, position, _ = poll(Position(), [log(1)])

    assert [event.type for event in poll(position, [log(number)])[0]] == ["stream.reset"]


def test_the_order_of_the_names_in_an_entry_does_not_matter() -> None:
    entry = log(0, tool_input={"a": 1, "b": 2})
    _, position, _ = poll(Position(), [entry])

    assert poll(position, [entry | {"tool_input": {"b": 2, "a": 1}}])[0] == []


@pytest.mark.parametrize(
    ("unfinished", "count", "reread"),
    [
        ([], 0, 0),
        ([], 1, 1),
        ([], 5, 1),
        ([0], 1, 1),
        ([2], 5, 3),
        ([2, 4], 5, 3),
        ([0], 5, 5),
        ([60 - MAX_TAIL], 60, MAX_TAIL),
        ([60 - MAX_TAIL - 1], 60, 1),
    ],
)
def test_entries_are_read_again_from_the_first_action_without_output_on(
    unfinished: list[int], count: int, reread: int
) -> None:
    history = [log(number, **({"tool_output": None} if number in unfinished else {})) for number in range(count)]
    _, position, _ = poll(Position(), history)

    assert (position.log_count, position.skip) == (count, count - reread)


def test_an_entry_that_is_no_action_never_has_an_output_and_is_not_read_again() -> None:
    thought = log(0, message_type="PLAN", tool_name=None, tool_input=None, tool_output=None, thought="First, search.")
    _, position, _ = poll(Position(), [thought, log(1)])

    assert position.skip == 1


@pytest.mark.parametrize(
    ("stored", "read", "total", "more"),
    [
        (0, 2, 5, True),
        (0, 2, 2, False),
        (0, 2, None, True),
        (2, 3, None, True),
        (2, 3, 3, False),
        (2, 3, 1, False),
        (2, 2, None, False),
        (2, 2, 5, False),
    ],
)
def test_the_next_page_is_read_at_once_if_there_were_new_entries_and_there_may_be_more(
    stored: int, read: int, total: int | None, more: bool
) -> None:
    history = [log(number) for number in range(read)]
    _, position, _ = poll(Position(), history[:stored])
    answer = {"id": 7, "organization_id": 123, "logs": history[position.skip :], "total_logs": total}

    writer = Writer(position, run_id=7, now=1_750_000_000)

    assert writer.logs(AgentRunLogs.model_validate(answer)) is more


@pytest.mark.parametrize("before", Status)
def test_a_run_that_starts_to_run_has_one_event_for_that(before: Status) -> None:
    writer = Writer(Position(), run_id=7, now=1_750_000_000)
    writer.status(before, "OLD", Status.RUNNING, "ACTIVE", 3)

    (event,) = writer.events
    if before in (Status.QUEUED, Status.LAUNCHING, Status.UNKNOWN):
        assert (event.type, event.data) == ("run.started", {"turn": 3, "upstream_status": "ACTIVE"})
    else:
        assert event.type == "run.status_changed"
        assert event.data == {"from": before, "to": "running", "upstream_status": "ACTIVE"}


@pytest.mark.parametrize(
    ("before", "upstream_before", "after", "upstream_after"),
    [
        (Status.RUNNING, "ACTIVE", Status.RUNNING, "EVALUATION"),
        (Status.RUNNING, "EVALUATION", Status.RUNNING, "ACTIVE"),
        (Status.RUNNING, "ACTIVE", Status.PAUSED, "PAUSED"),
        (Status.PAUSED, "PAUSED", Status.QUEUED, "PENDING"),
        (Status.RUNNING, "ACTIVE", Status.UNKNOWN, "PONDERING"),
    ],
)
def test_a_change_of_either_status_is_an_event(
    before: Status, upstream_before: str, after: Status, upstream_after: str
) -> None:
    writer = Writer(Position(), run_id=7, now=1_750_000_000)
    writer.status(before, upstream_before, after, upstream_after, 1)

    assert [(event.type, event.data) for event in writer.events] == [
        ("run.status_changed", {"from": before, "to": after, "upstream_status": upstream_after})
    ]


@pytest.mark.parametrize("status", [Status.RUNNING, Status.QUEUED, Status.PAUSED])
def test_an_unchanged_status_is_no_event(status: Status) -> None:
    writer = Writer(Position(), run_id=7, now=1_750_000_000)
    # Not the same object: a stored status and a new answer never are.
    before, after = (f"{word}!" for word in ("ACTIVE", "ACTIVE"))
    writer.status(status, before, Status(str(status)), after, 1)

    assert writer.events == []


@pytest.mark.parametrize("status", [status for status in Status if status.terminal])
def test_a_terminal_status_is_one_event_and_the_last_of_the_turn(status: Status) -> None:
    writer = Writer(Position(), run_id=7, now=1_750_000_000)
    writer.status(Status.RUNNING, "ACTIVE", status, "DONE", 1)
    assert writer.events == []

    writer.ended(status, {"turn": 1})

    assert [(event.type, event.data) for event in writer.events] == [(f"run.{status}", {"turn": 1})]
    assert is_terminal(writer.events[0].type)
    assert not is_terminal("run.status_changed")


def test_events_are_numbered_and_carry_the_run_the_time_and_the_version() -> None:
    writer = Writer(Position(epoch=2, seq=5), run_id=7, now=1_750_000_000.1239)
    writer.add("run.queued", {"turn": 1})
    writer.add("run.prompted", {"text": "Use sk-" + "0a1b2c3d" * 4})

    assert [event.model_dump(exclude_none=True) for event in writer.events] == [
        {"epoch": 2, "seq": 6, "type": "run.queued", "run_id": 7, "ts": "2025-06-15T15:06:40.123Z", "v": 1,
         "data": {"turn": 1}},
        {"epoch": 2, "seq": 7, "type": "run.prompted", "run_id": 7, "ts": "2025-06-15T15:06:40.123Z", "v": 1,
         "data": {"text": f"Use {MASK}"}},
    ]  # fmt: skip
    assert [event.id for event in writer.events] == ["2-6", "2-7"]
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"


def test_a_text_is_cut_to_its_limit_and_the_cut_is_reported() -> None:
    assert shorten(None, 3) == (None, False)
    assert shorten("ab", 3) == ("ab", False)
    assert shorten("abc", 3) == ("abc", False)
    assert shorten("abcd", 3) == ("abc", True)


def test_two_equal_entries_are_two_events() -> None:
    twins = [log(1), log(1)]
    events, position, _ = poll(Position(), twins)

    assert len(events) == 2
    assert poll(position, twins)[0] == []


def test_a_large_entry_is_stored_as_a_preview_and_marked_as_truncated() -> None:
    fields = dict.fromkeys(("observation", "thought", "one_more", "another"), "\N{PILE OF POO}" * 500_000)
    events, _, _ = poll(Position(), [log(0, tool_output={"text": "x" * 1_000_000}, **fields)])

    assert events[0].data["truncated"] is True
    assert len(json.dumps(events[0].data)) <= MAX_DATA_BYTES


def test_an_entry_of_the_largest_size_is_stored_whole_and_a_larger_one_as_a_preview() -> None:
    def stored(characters: int) -> dict[str, Any]:
        return poll(Position(), [log(0, observation="x" * characters)])[0][0].data

    room = MAX_DATA_BYTES - len(json.dumps(stored(0)))

    assert len(json.dumps(stored(room))) == MAX_DATA_BYTES
    assert "truncated" not in stored(room - 1)
    assert "truncated" not in stored(room)
    assert stored(room + 1)["truncated"] is True


def test_a_preview_keeps_the_small_fields_and_the_beginning_of_the_large_ones() -> None:
    entry = log(0, thought="y" * 600, observation="x" * 100_000)
    shown = poll(Position(), [entry])[0][0].data["log"]

    assert shown | {"observation": entry["observation"]} == entry
    assert set(shown["observation"]) == {"x"}
    # Each of the eight fields has its share of half of the space. With quotes, a text of that length is too long by two
    # bytes, so it is halved.
    assert len(shown["observation"]) == MAX_DATA_BYTES / 2 / 8 / 2


def test_the_events_of_one_poll_fit_into_a_transaction_and_each_into_a_frame() -> None:
    assert (MAX_DATA_BYTES, MAX_TAIL) == (24_576, 45)
    assert EVENTS_PER_WRITE * MAX_DATA_BYTES < 4_000_000
    assert 2 * MAX_TAIL < EVENTS_PER_WRITE


@pytest.mark.parametrize(
    "secret",
    [
        "sk-" + "0a1b2c3d" * 4,
        "ghp_" + "a1B2" * 9,
        "AKIA" + "ABCD" * 4,
        "xoxb-" + "1234567890-abc",
        "eyJ" + "hbGciOiJIUzI1" + "." + "eyJzdWIiOiIxIn0" + "." + "c2lnbmF0dXJl",
    ],
)
def test_a_token_in_an_entry_is_never_stored(secret: str) -> None:
    events, _, _ = poll(Position(), [log(0, tool_output={"env": [f"export TOKEN={secret}"]}, thought=f"Use {secret}.")])

    assert secret not in events[0].model_dump_json()
    assert MASK in events[0].data["log"]["thought"]


def test_a_bearer_header_is_masked_and_plain_words_are_kept() -> None:
    assert redact("Authorization: Bearer abcdefghij0123456789") == f"Authorization: Bearer {MASK}"
    assert redact("The bearer of good news, task-oriented and risk-averse") == (
        "The bearer of good news, task-oriented and risk-averse"
    )


# --- entries far from the end ---


def page(position: Position, history: list[dict[str, Any]], skip: int, limit: int, **more: Any) -> tuple[Writer, bool]:
    """Read a page of a history that does not begin where a poll begins."""
    answer = {"id": 7, "organization_id": 123, "logs": history[skip : skip + limit], "total_logs": len(history)}
    writer = Writer(position, run_id=7, now=1_750_000_000)
    return writer, writer.logs(AgentRunLogs.model_validate(answer), skip=skip, **more)


def test_an_open_entry_is_remembered_once_either_in_the_tail_or_before_it() -> None:
    history = [log(number, tool_output=None if number in (0, 52, 97) else {}) for number in range(100)]
    _, position, _ = poll(Position(), history, limit=100)

    assert position.skip == 97
    assert list(fingerprints(position.open)) == [0, 52]
    writer, _ = page(position, history, 0, 50)
    assert list(fingerprints(writer.position.open)) == [52, 0]
    assert (writer.events, writer.position.skip) == ([], 97)


def test_the_newest_open_entries_are_remembered() -> None:
    history = [log(number, tool_output=None) for number in range(MAX_OPEN + MAX_TAIL + 10)]
    _, position, more = poll(Position(), history)
    while more:
        _, position, more = poll(position, history)

    assert list(fingerprints(position.open)) == list(range(10, 10 + MAX_OPEN))


def test_an_entry_without_a_fingerprint_is_not_compared() -> None:
    history = [log(number) for number in range(100)]
    _, position, _ = poll(Position(), history, limit=100)
    writer, more = page(position, [log(500), *history[1:]], 0, 50)

    assert (writer.events, more) == ([], False)


def test_the_entries_after_the_last_allowed_event_are_read_at_once() -> None:
    writer, more = page(Position(), [log(number) for number in range(10)], 0, 10, most=4)

    assert (len(writer.events), writer.read_to, writer.position.log_count, more) == (4, 4, 4, True)


@pytest.mark.parametrize(("left", "reset"), [(100, False), (99, True), (60, True), (0, True)])
def test_a_total_below_the_number_of_known_entries_shows_that_some_are_gone(left: int, reset: bool) -> None:
    history = [log(number) for number in range(100)]
    _, position, _ = poll(Position(), history, limit=100)
    writer, _ = page(position, history[:left], 0, 60)

    assert [event.type for event in writer.events] == ["stream.reset"] * reset
