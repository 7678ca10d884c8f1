"""The events that an answer of the Codegen API produces."""

import json
from typing import Any

import pytest

from codegen_api import AgentRunLogs
from codegen_runs.events import MAX_DATA_BYTES, Event, Position, Writer
from codegen_runs.redaction import MASK, redact


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


@pytest.mark.parametrize("history", [[log(0), log(9), log(2)], [log(0)], []])
def test_a_history_that_was_rewritten_begins_a_new_epoch(history: list[dict[str, Any]]) -> None:
    _, position, _ = poll(Position(), [log(0), log(1)])
    reset, position, more = poll(position, history)
    told, position, _ = poll(position, history)

    assert [(event.type, event.epoch, event.seq) for event in reset] == [("stream.reset", 1, 3)]
    assert more
    assert [event.data["log"]["created_at"] for event in told] == [entry["created_at"] for entry in history]
    assert all(event.epoch == 1 for event in told)


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
