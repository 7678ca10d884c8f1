"""Values of another type than the documented one: they are marked, and hide nothing around them."""

import json
import math
from typing import Any

import pytest

from codegen_api import (
    AgentRun,
    AgentRunLogs,
    Integrations,
    InvalidResponseError,
    Models,
    Organization,
    Page,
    Repo,
    ServerError,
    TaskEvent,
    User,
)
from codegen_api._models import Model
from tests.support.lists import items_of

FINE = {"agent_run_id": 1, "message_type": "ACTION", "thought": "fine"}
RUN = {"id": 7, "organization_id": 42, "status": "COMPLETE"}
USER = {"id": 1, "github_user_id": "1", "github_username": "ada"}


def page(*items: Any, **more: Any) -> dict[str, Any]:
    return {"items": list(items), "total": len(items), "page": 1, "size": 100, "pages": 1} | more


def logs(*rows: Any, **more: Any) -> dict[str, Any]:
    return {**RUN, "logs": list(rows), "total_logs": len(rows)} | more


def read(model: type[Model], answer: Any) -> Any:
    return model.read(json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("row", "unreadable"),
    [
        (FINE | {"tool_output": 42}, []),
        (FINE | {"tool_output": True}, []),
        (FINE | {"observation": 1.5}, []),
        (FINE | {"extra": {"a": [None]}}, []),
        (FINE | {"tool_output": 10**40}, []),
        (FINE | {"thought": {"a": 1}}, ["thought"]),
        (FINE | {"thought": ["a"]}, ["thought"]),
        (FINE | {"tool_name": 7}, ["tool_name"]),
        (FINE | {"message_type": {}}, ["message_type"]),
        (FINE | {"created_at": 5, "tool_name": False}, ["created_at", "tool_name"]),
        (FINE | {"agent_run_id": None}, ["agent_run_id"]),
        (FINE | {"agent_run_id": 10**30}, ["agent_run_id"]),
        (FINE | {"agent_run_id": 10**30, "thought": 1.5}, ["agent_run_id", "thought"]),
        ({"thought": "x"}, ["agent_run_id"]),
        ({}, ["agent_run_id"]),
    ],
)
def test_an_odd_row_of_a_log_is_kept_as_it_came_and_the_others_are_intact(
    row: dict[str, Any], unreadable: list[str]
) -> None:
    answer = read(AgentRunLogs, logs(FINE, row, FINE))

    dumped = answer.model_dump(mode="json")["logs"]
    assert dumped == [FINE, row | ({"unreadable": unreadable} if unreadable else {}), FINE]
    assert answer.logs[1].unreadable == unreadable
    assert answer.unreadable == []


@pytest.mark.parametrize("row", [None, 42, "text", [1], True, 1.5])
def test_a_row_that_is_no_object_is_kept_as_raw(row: Any) -> None:
    answer = read(AgentRunLogs, logs(FINE, row, FINE))

    assert answer.model_dump(mode="json")["logs"] == [FINE, {"raw": row, "unreadable": ["raw"]}, FINE]
    assert len(answer.logs) == 3


@pytest.mark.parametrize("odd", [{"id": "x"}, {"new": 1}, None, 3, "x", [], {"id": "x", "name": {}, "full_name": 7}])
@pytest.mark.parametrize(
    ("model", "around", "field"),
    [
        (Page[AgentRun], page(RUN), "items"),
        (Page[User], page(USER), "items"),
        (Page[Repo], page(), "items"),
        (Page[Organization], page(), "items"),
        (AgentRun, RUN | {"github_pull_requests": [{"id": 1}]}, "github_pull_requests"),
        (Integrations, {"organization_id": 1, "organization_name": "A", "integrations": []}, "integrations"),
        (Models, {"default_model": "m", "providers": [{"name": "p", "models": []}]}, "providers"),
    ],
    ids=["runs", "users", "repos", "organizations", "pull requests", "integrations", "models"],
)
def test_an_odd_item_hides_no_other_item(model: type[Model], around: dict[str, Any], field: str, odd: Any) -> None:
    answer = read(model, around | {field: [odd, *around[field]]})

    first, *others = answer.model_dump(mode="json")[field]
    assert others == around[field]
    assert first["unreadable"]
    assert (first["raw"] if not isinstance(odd, dict) else {**first, **odd}) == (odd if "raw" in first else first)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('"a\\ud800b"', "a\ufffdb"),
        ('"\\udc00"', "\ufffd"),
        ('{"a": ["\\ud800"]}', {"a": ["\ufffd"]}),
        ('{"\\ud800": 1}', {"\ufffd": 1}),
        ("NaN", "NaN"),
        ("[-Infinity]", ["-Infinity"]),
        ("1e999", "Infinity"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_value_that_is_not_valid_json_is_replaced_and_marked(text: str, kept: Any) -> None:
    row = json.dumps(FINE).replace('"fine"', f'"fine", "tool_output": {text}')
    answer = AgentRunLogs.read(json.dumps(logs(FINE, "ROW", FINE)).replace('"ROW"', row).encode())

    dumped = answer.model_dump(mode="json")["logs"]
    assert dumped[0] == dumped[2] == FINE
    assert dumped[1]["tool_output"] == kept
    json.dumps(dumped, allow_nan=False, ensure_ascii=False).encode()
    is_text = isinstance(kept, str) and kept.isdecimal()
    assert dumped[1].get("unreadable") == (None if is_text else ["tool_output"])


def test_a_surrogate_pair_and_an_escape_are_texts_like_any_other() -> None:
    row = FINE | {"thought": "\U0001f600", "tool_output": "\\ud800 NaN 1e999"}

    assert read(AgentRunLogs, logs(row)).model_dump(mode="json")["logs"] == [row]


def test_deep_nesting_becomes_text() -> None:
    row = json.dumps(FINE).replace('"fine"', f'"fine", "tool_output": {"[" * 500 + "]" * 500}')
    answer = AgentRunLogs.read(json.dumps(logs(FINE, "ROW")).replace('"ROW"', row).encode())

    assert answer.logs[1].unreadable == ["tool_output"]
    assert answer.logs[0].unreadable == []
    json.loads(answer.model_dump_json())


@pytest.mark.parametrize("row", [FINE | {"thought": 1.5}, 42, {"thought": []}, {"new": 1}])
def test_what_was_marked_once_reads_the_same_again(row: Any) -> None:
    dumped = read(AgentRunLogs, logs(FINE, row)).model_dump(mode="json")

    assert read(AgentRunLogs, dumped).model_dump(mode="json") == dumped


@pytest.mark.parametrize(
    ("odd", "id_"),
    [
        ({"id": "7"}, 7),
        ({"id": 7.0}, 7),
        ({"organization_id": None}, 7),
        ({"status": ["COMPLETE"]}, 7),
        ({"created_at": {}, "metadata": [1]}, 7),
        ({"github_pull_requests": "none"}, 7),
    ],
)
def test_a_run_with_an_id_is_started_whatever_else_its_answer_has(client: Any, wire: Any, odd: Any, id_: int) -> None:
    wire.answers(body=RUN | odd)

    run = client(lambda api: api.runs.create("x"))

    assert run.id == id_
    assert {**run.model_dump(mode="json"), "unreadable": 0} == RUN | odd | {"unreadable": 0}


@pytest.mark.parametrize("answer", [{"status": "ACTIVE"}, {"id": None}, {"id": [7]}])
def test_a_follow_up_was_sent_although_its_answer_has_no_id(client: Any, wire: Any, answer: Any) -> None:
    wire.answers(body=answer)

    run = client(lambda api: api.runs.follow_up(7, "x"))

    assert (run.id, "id" in run.unreadable) == (7, True)


def test_null_in_the_place_of_a_list_is_an_empty_list() -> None:
    answer = read(Page[AgentRun], {"items": None, "total": "3", "page": 1, "size": 1, "pages": 1})

    assert (answer.items, answer.total, answer.known_total) == ([], 3, 3)
    assert answer.unreadable == ["items", "total"]


@pytest.mark.parametrize("total", [None, 3, "3"])
def test_an_iteration_does_not_take_a_missing_list_for_the_end(client: Any, wire: Any, total: Any) -> None:
    wire.answers(body={"items": None, "total": total, "page": 1, "size": 1, "pages": 1})
    wire.answers(body={"id": 7, "organization_id": 42, "logs": None, "total_logs": total})

    for iterate in (lambda api: items_of(api.runs.list()), lambda api: items_of(api.runs.iter_logs(7))):
        with pytest.raises(InvalidResponseError, match="without its list"):
            client(iterate)


def test_null_and_a_total_of_0_are_an_empty_list(client: Any, wire: Any) -> None:
    wire.answers(body={"items": None, "total": 0, "page": 1, "size": 1, "pages": 0})

    assert client(lambda api: items_of(api.runs.list())) == []


@pytest.mark.parametrize("answer", [{}, {"items": "x"}, {"items": {}}, {"items": 3}])
def test_a_list_without_items_is_an_invalid_response(client: Any, wire: Any, answer: Any) -> None:
    wire.answers(body=answer)

    with pytest.raises(InvalidResponseError):
        client(lambda api: api.runs.list())


@pytest.mark.parametrize("total", [None, "many", {}, [2]])
def test_a_list_whose_total_cannot_be_read_is_read_to_its_end(client: Any, wire: Any, total: Any) -> None:
    wire.answers(body=page(RUN, total=total))
    wire.answers(body=page(RUN | {"id": 8}, total=total))
    wire.answers(body=page(total=total))

    assert [run.id for run in client(lambda api: items_of(api.runs.list()))] == [7, 8]


def test_items_without_an_id_and_with_the_same_id_are_all_returned(client: Any, wire: Any) -> None:
    wire.answers(body=page(RUN, RUN, {"status": "A"}, total=5))
    wire.answers(body=page({"status": "B"}, 3, total=5))

    assert len(client(lambda api: items_of(api.runs.list()))) == 5


def test_not_a_number_is_not_an_integer() -> None:
    assert math.isnan(json.loads("NaN"))
    with pytest.raises(ValueError, match="id"):
        AgentRun.read(b'{"id": NaN}')


@pytest.mark.parametrize("answer", [{"id": 10**30}, {"id": True}, {"id": ""}, {"id": 7.5}, {"id": -(10**20)}])
def test_a_new_run_without_a_usable_id_may_exist(client: Any, wire: Any, answer: Any) -> None:
    wire.answers(body=RUN | answer)

    with pytest.raises(InvalidResponseError) as caught:
        client(lambda api: api.runs.create("x"))

    assert caught.value.effect_unknown


@pytest.mark.parametrize("field", ["logs", "models", "settings", "new"])
def test_a_surrogate_in_an_unknown_field_is_replaced(field: str) -> None:
    user = User.read(json.dumps(USER | {field: [{"a": "\ud800"}]}).encode())

    assert user.model_dump(mode="json")[field] == [{"a": "\ufffd"}]


@pytest.mark.parametrize("status", [500, 502, 503, 429, 409])
def test_an_error_that_is_not_retryable_is_not_retried(client: Any, wire: Any, status: int) -> None:
    for _ in range(2):
        wire.answers(status, body={"message": "No.", "retryable": False}, headers={"retry-after": "1"})

    with pytest.raises(Exception, match="No") as caught:
        client(lambda api: api.runs.list())

    assert caught.value.retryable is False  # type: ignore[attr-defined]
    assert len(wire.requests) == 1


def test_an_error_that_says_nothing_is_retried(client: Any, wire: Any) -> None:
    for _ in range(4):
        wire.answers(500, body={"message": "No."})

    with pytest.raises(ServerError) as caught:
        client(lambda api: api.runs.list())

    assert caught.value.retryable is True
    assert len(wire.requests) == 4


@pytest.mark.parametrize("log", [{}, {"thought": {"a": 1}}, {"raw": 42, "unreadable": ["raw"]}, {"tool_name": 7}])
def test_an_event_of_an_odd_entry_has_its_entry_and_a_text(log: dict[str, Any]) -> None:
    event = TaskEvent("0-1", "run.log", {"log": log, "position": 0})

    assert event.log is not None
    assert event.text
    assert {**event.log.model_dump(mode="json"), **log} == event.log.model_dump(mode="json")


@pytest.mark.parametrize("odd", [None, 3, {"name": 5}, {"id": "x"}])
def test_an_odd_provider_hides_no_other_one(client: Any, wire: Any, odd: Any) -> None:
    fine = {
        "id": 1,
        "name": "linear",
        "issuer": "i",
        "authorization_endpoint": "a",
        "token_endpoint": "t",
        "is_mcp": True,
    }
    wire.answers(body=[odd, fine])

    first, second = client(lambda api: api.mcp_providers.list())

    assert first.unreadable
    assert second.model_dump(mode="json") == fine
