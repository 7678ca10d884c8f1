"""The models accept live responses, and dump to exactly what was received."""

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

import codegen_api
from codegen_api import (
    AgentRun,
    AgentRunLogs,
    Integrations,
    InvalidResponseError,
    Organization,
    Page,
    RunStatus,
    User,
    Webhook,
    parse_timestamp,
)

ORGANIZATION = {"id": 42, "name": "Acme", "settings": {"enable_pr_creation": True, "new_setting": None}}
SHORT_RUN = {"id": 7, "organization_id": 42, "status": "COMPLETE", "created_at": "2025-06-21 11:20:04.338398"}
LOGS = {
    "id": 7,
    "organization_id": 42,
    "status": "SOMETHING_NEW",
    "created_at": "2025-06-21 11:20:04.338398",
    "result": None,
    "metadata": {"client_run_id": None},
    "total_logs": None,
    "logs": [
        {
            "agent_run_id": 7,
            "created_at": "2025-06-21 12:06:31.108894",
            "message_type": "NEVER_SEEN_BEFORE",
            "thought": None,
            "observation": {"nested": {"deep": None}},
            "tool_input": None,
            "tool_output": "a string where an object was promised",
            "unknown": [None, {"x": None}],
        },
        {"agent_run_id": 7, "observation": "text", "tool_output": ["a", 1]},
    ],
}
INTEGRATIONS = {
    "organization_id": 42,
    "organization_name": "Acme",
    "integrations": [
        {"integration_type": "slack_app", "active": True, "token_id": "17", "installation_id": None},
        {"integration_type": "github", "active": False, "token_id": 17, "metadata": {"webhook_secret": "hush"}},
    ],
    "total_active_integrations": 1,
}
RUN = {
    "id": 7,
    "organization_id": 42,
    "status": None,
    "created_at": "2024-01-15T10:30:00Z",
    "result": None,
    "source_type": "CARRIER_PIGEON",
    "github_pull_requests": [{"id": 1, "url": None, "created_at": "2024-01-15T10:30:00Z", "merged": None}],
    "metadata": {"a": [1, 2.5, None, {"b": None}]},
    "model_dump": "a key that is also a method",
    "created": "a key that is also a property",
    "parent": None,
}
PAGE = {"items": [RUN, {"id": 8, "organization_id": 42}], "total": 5001, "page": 1, "size": 2, "pages": 2501}
RECEIVED = [
    pytest.param(AgentRun, RUN, id="run"),
    pytest.param(AgentRun, {"id": 7, "organization_id": 42}, id="bare run"),
    pytest.param(Page[AgentRun], PAGE, id="page"),
    pytest.param(AgentRunLogs, LOGS, id="logs"),
    pytest.param(Integrations, INTEGRATIONS, id="integrations"),
    pytest.param(Organization, ORGANIZATION, id="organization"),
]


@pytest.mark.parametrize(("model", "received"), RECEIVED)
@pytest.mark.parametrize("option", [None, "exclude_none", "exclude_defaults", "exclude_unset", "by_alias"])
def test_a_model_dumps_to_exactly_the_json_it_was_read_from(model, received, option):
    options = {option: True} if option else {}
    read = model.model_validate_json(json.dumps(received))

    assert read.model_dump(**options) == received
    assert read.model_dump(mode="json", **options) == received
    assert json.loads(read.model_dump_json(**options)) == received


@pytest.mark.parametrize(("model", "received"), RECEIVED)
def test_a_model_reads_its_own_dump(model, received):
    read = model.model_validate(received)

    assert model.model_validate(read.model_dump()) == read


def test_include_and_exclude_still_work():
    run = AgentRun.model_validate(RUN)

    assert run.model_dump(include={"id", "result"}) == {"id": 7, "result": None}
    assert "result" not in run.model_dump(exclude={"result"}, exclude_none=True)


def test_a_changed_copy_dumps_the_change():
    run = AgentRun.model_validate(RUN).model_copy(update={"result": "Done"})

    assert run.model_dump() == RUN | {"result": "Done"}


def test_the_json_schema_has_the_fields():
    schema = AgentRun.model_json_schema(mode="serialization")

    assert schema["properties"]["status"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert schema["required"] == ["id", "organization_id"]


def test_the_types_of_integration_ids_are_kept():
    read = Integrations.model_validate_json(json.dumps(INTEGRATIONS))

    assert [integration.token_id for integration in read.integrations] == ["17", 17]


def test_the_repr_of_a_model_has_no_secret():
    assert "hush" not in repr(Integrations.model_validate(INTEGRATIONS))
    assert "hush" not in repr(Webhook(url="https://hook.test", secret="hush"))


def test_unknown_keys_can_be_read_as_attributes():
    assert (
        User.model_validate({"id": 1, "github_user_id": "1", "github_username": "ada", "team": "core"}).team == "core"
    )  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Bad gateway</html>",
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"id": "seven", "organization_id": 42}',
        b'{"organization_id": 42}',
        b"[" * 5000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_response_of_another_structure_is_an_invalid_response(client, wire, body):
    wire.answers(content=body, headers={"x-request-id": "r-1"})

    with pytest.raises(InvalidResponseError) as caught:
        client(lambda api: api.runs.get(7))

    assert caught.value.status_code == 200
    assert caught.value.request_id == "r-1"
    assert not caught.value.effect_unknown


def test_the_error_for_an_invalid_response_names_the_key_and_quotes_no_value(client, wire):
    wire.answers(body={"items": "hush", "total": 1, "page": 1, "size": 1, "pages": 1})

    with pytest.raises(InvalidResponseError, match="items: Input should be a valid") as caught:
        client(lambda api: api.runs.list())

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("body", [b"not JSON", b"[" * 200_000], ids=["text", "too deep"])
def test_an_undocumented_response_must_still_be_json(client, wire, body):
    wire.answers(content=body)

    with pytest.raises(InvalidResponseError) as caught:
        client(lambda api: api.runs.ban(7))

    assert caught.value.effect_unknown


@pytest.mark.parametrize("body", [b"", b"\n"])
def test_the_response_to_a_ban_may_be_empty(client, wire, body):
    wire.answers(content=body)

    assert client(lambda api: api.runs.ban(7)) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-06-21 11:20:04.338398", datetime(2025, 6, 21, 11, 20, 4, 338398, UTC)),
        ("2024-01-15T10:30:00Z", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
        ("2024-01-15T10:30:00+02:00", datetime(2024, 1, 15, 8, 30, tzinfo=UTC)),
    ],
)
def test_both_formats_of_timestamp_are_read_as_utc(text, moment):
    run = AgentRun.model_validate({"id": 7, "organization_id": 42, "created_at": text})

    assert run.created_at == moment == parse_timestamp(text)
    assert run.created_at.tzinfo is UTC
    assert run.created_at.text == run.model_dump()["created_at"] == text


@pytest.mark.parametrize("text", [None, "", "yesterday", "0001-01-01T00:00:00+14:00"])
def test_a_text_that_is_no_time_is_none_and_is_dumped_as_it_was_received(text):
    received = {"id": 7, "organization_id": 42, "created_at": text}
    run = AgentRun.model_validate(received)

    assert (run.created_at, run.unreadable) == (None, [])
    assert run.model_dump() == received


def test_a_time_keeps_its_text_when_it_is_copied_and_pickled():
    moment = parse_timestamp("2025-06-21 11:20:04.338398")

    for copied in (copy.deepcopy(moment), pickle.loads(pickle.dumps(moment))):
        assert (copied, copied.text) == (moment, moment.text)
    assert (moment + timedelta(0)).text == "2025-06-21T11:20:04.338398+00:00"


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_any_time_can_be_written_and_read_again(moment):
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        return
    assert parse_timestamp(moment.isoformat()) == moment
    assert parse_timestamp(str(utc.replace(tzinfo=None))) == moment


@pytest.mark.parametrize(
    ("kind", "received", "short", "line"),
    [
        (
            "AgentRun",
            SHORT_RUN | {"result": "Done.\nAll of it.", "web_url": "https://codegen.test/" + "x" * 900},
            "AgentRun(id=7, organization_id=42, status='COMPLETE', created_at='2025-06-21 11:20:04')",
            "7  COMPLETE  2025-06-21 11:20:04  Done....",
        ),
        (
            "AgentRunLog",
            {"agent_run_id": 7, "tool_name": "ripgrep", "thought": "Look.", "observation": {"a": ["wall"] * 900}},
            "AgentRunLog(agent_run_id=7, tool_name='ripgrep', thought='Look.')",
            "7  ripgrep  Look.",
        ),
        (
            "RunCard",
            {"id": 7, "status": "running", "prompt": "Explain " * 900, "new_field": "x" * 900},
            f"RunCard(id=7, status='running', prompt={('Explain ' * 5 + '...')!r}, prompt_truncated=False)",
            f"7  running  {('Explain ' * 13)[:100]}...",
        ),
        (
            "StreamTicket",
            {"ticket": "secret", "stream_path": "/v1/x"},
            "StreamTicket(stream_path='/v1/x')",
            "StreamTicket(stream_path='/v1/x')",
        ),
        (
            "RateLimit",
            {"name": "create", "calls": 10, "window_seconds": 60, "remaining": 3},
            "RateLimit(name='create', calls=10, window_seconds=60.0, remaining=3)",
            "create: 3 of 10 calls in 60 s remain",
        ),
        (
            "Usage",
            {"organization_id": 1, "start_date": "2026-01-01", "end_date": "2026-02-01", "runs": {"total": 5}},
            "Usage(organization_id=1, start_date='2026-01-01 00:00:00', end_date='2026-02-01 00:00:00')",
            "5 runs from 2026-01-01 to 2026-02-01",
        ),
    ],
)
def test_an_object_has_a_short_repr_and_prints_as_one_line(kind, received, short, line):
    found = getattr(codegen_api, kind).model_validate(received)

    assert (repr(found), str(found)) == (short, line)
    assert found.model_dump() == received


@pytest.mark.parametrize("word", ["ACTIVE", "active", "EVALUATION", "COMPLETE", "completed", "TIMEOUT", None, "NEW"])
def test_every_object_has_the_same_words_for_a_status(word):
    status = AgentRun.model_validate(SHORT_RUN | {"status": word}).run_status

    assert status is RunStatus.of(word) is RunStatus(status.value)
    assert status.final == ((word or "").lower() in ("complete", "completed", "timeout"))


def test_a_status_that_is_new_is_unknown_and_is_dumped_as_it_was_received():
    card = codegen_api.RunCard.model_validate({"id": 7, "status": "dreaming"})

    assert (card.status, card.status.final, card.unreadable) == (RunStatus.UNKNOWN, False, ["status"])
    assert card.model_dump()["status"] == "dreaming"


def test_a_page_iterates_over_its_items():
    page = Page[AgentRun].model_validate({"items": [SHORT_RUN], "total": 1, "page": 1, "size": 1, "pages": 1})

    assert [run.id for run in page] == [7]
