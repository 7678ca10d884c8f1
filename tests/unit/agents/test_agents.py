"""Agent profiles, through the handlers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import quote

import pytest

from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.cursors import Listing
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.agents import AgentsTable
from local.template import Template
from tests.support import handlers
from tests.support.backend import TestClock
from tests.support.events import Answer, Context, call, current, invoke, rest, working_with
from tests.support.overtaken import Overtaken

ORG = 123
PATH = f"/v1/organizations/{ORG}/agents"
ADA = Caller(id="user:789", user_id=789, organizations=frozenset({123, 124}), token="a-token-that-opens-nothing")
REVIEWER = {
    "name": "Code Reviewer",
    "type": "code_review",
    "description": "Specialized in code review tasks",
    "configuration": {"max_files": 50, "focus": "security", "threshold": 0.5},
    "system_prompt": "You review code.",
    "model": "claude-sonnet",
    "repo_id": 7,
    "tags": ["production", "review"],
}


@pytest.fixture(autouse=True)
def _tables(deployed: Template, clock: TestClock) -> Iterator[None]:
    with working_with(Backend(clock=clock)):
        yield


def create(body: Any = None, path: str = PATH, **more: Any) -> Answer:
    return call(handlers.handler("agents/create"), rest("POST", path, body=(body or {"name": "A"}) | more, caller=ADA))


def get(agent_id: str, query: str = "", path: str = PATH) -> Answer:
    return call(handlers.handler("agents/get"), rest("GET", f"{path}/{agent_id}{query}", caller=ADA))


def update(agent_id: str, body: Any, if_match: str | None = None, path: str = PATH) -> Answer:
    headers = {"If-Match": if_match} if if_match else {}
    event = rest("PATCH", f"{path}/{agent_id}", body=body, headers=headers, caller=ADA)
    return call(handlers.handler("agents/update"), event)


def delete(agent_id: str, path: str = PATH) -> Answer:
    return call(handlers.handler("agents/delete"), rest("DELETE", f"{path}/{agent_id}", caller=ADA))


def agents(query: str = "", path: str = PATH) -> Answer:
    return call(handlers.handler("agents/list"), rest("GET", path + query, caller=ADA))


def versions(agent_id: str, query: str = "") -> Answer:
    return call(handlers.handler("agents/versions"), rest("GET", f"{PATH}/{agent_id}/versions{query}", caller=ADA))


def names(answer: Answer) -> list[str]:
    return [item["id"] for item in answer.json["items"]]


@pytest.mark.parametrize("place", [{"base_path": "/codegen"}, {"stage_path": "/v0"}])
def test_the_location_of_an_agent_begins_with_the_base_path_or_the_stage(place: dict[str, str]) -> None:
    event = rest("POST", PATH, body={"name": "A", "id": "reviewer"}, caller=ADA, **place)

    created = call(handlers.handler("agents/create"), event)

    assert created.headers["location"] == f"{next(iter(place.values()))}{PATH}/reviewer"


def test_an_answer_without_content_has_no_type() -> None:
    """API Gateway gives a type to an answer that has none, unless the function sends null."""
    created = create({"name": "A"}, id="a")
    unchanged = rest("GET", f"{PATH}/a", headers={"If-None-Match": get("a").headers["etag"]}, caller=ADA)
    deleting = rest("DELETE", f"{PATH}/a", caller=ADA)

    answers = [
        invoke(handlers.handler("agents/get"), unchanged, Context()),
        invoke(handlers.handler("agents/delete"), deleting, Context()),
    ]

    assert created.status == 201
    assert [answer["statusCode"] for answer in answers] == [304, 204]
    assert [answer["multiValueHeaders"]["Content-Type"] for answer in answers] == [[None], [None]]


def test_an_agent_is_stored_as_it_was_sent() -> None:
    created = create(REVIEWER, id="reviewer")

    assert created.status == 201
    assert created.headers["location"] == f"{PATH}/reviewer"
    read = get("reviewer").json
    assert read == created.json
    assert REVIEWER.items() <= read.items()
    assert (read["version"], read["created_by"]) == (1, "user:789")
    assert read["created_at"].endswith("Z")


def test_an_agent_without_an_id_gets_one_that_works_in_a_path() -> None:
    first, second = create().json["id"], create().json["id"]

    assert first != second
    assert get(first).json["type"] == "general"


def test_unknown_fields_of_an_agent_are_accepted_with_a_warning() -> None:
    assert [warning["pointer"] for warning in create(temperature=1).json["warnings"]] == ["/temperature"]


def test_an_id_that_is_taken_is_refused() -> None:
    create(id="reviewer")
    answer = create(id="reviewer")

    assert (answer.status, answer.json["code"]) == (409, "agent_exists")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": ""}, "/body/name"),
        ({"name": "  "}, "/body/name"),
        ({"name": "x" * 101}, "/body/name"),
        ({"name": 7}, "/body/name"),
        ({"type": "cook"}, "/body/type"),
        ({"id": "with space"}, "/body/id"),
        ({"id": "9lives"}, "/body/id"),
        ({"id": "x" * 65}, "/body/id"),
        ({"id": "org#1"}, "/body/id"),
        ({"id": "line\n"}, "/body/id"),
        ({"configuration": []}, "/body/configuration"),
        ({"configuration": {"x": "y" * 20_000}}, "/body/configuration"),
        ({"system_prompt": "x" * 20_001}, "/body/system_prompt"),
        ({"repo_id": "seven"}, "/body/repo_id"),
        ({"repo_id": True}, "/body/repo_id"),
        ({"repo_id": 2**63}, "/body/repo_id"),
        ({"tags": "production"}, "/body/tags"),
        ({"tags": [1]}, "/body/tags/0"),
        ({"tags": ["x"] * 21}, "/body/tags"),
    ],
)
def test_an_invalid_agent_is_refused_with_a_sentence(body: dict[str, Any], pointer: str) -> None:
    answer = create({"name": "A"} | body)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == pointer


def test_a_number_that_json_does_not_know_is_refused() -> None:
    event = rest("POST", PATH, body='{"name": "A", "configuration": {"x": 1e999}}', caller=ADA)

    assert call(handlers.handler("agents/create"), event).status == 422


@pytest.mark.parametrize("agent_id", ["nobody", "with%20space", "9", "x" * 65, "x" * 3000, "a%23b"])
def test_an_absent_agent_is_not_found_and_the_answer_says_what_to_do(agent_id: str) -> None:
    for answer in (get(agent_id), update(agent_id, {"name": "B"}), delete(agent_id)):
        assert (answer.status, answer.json["code"]) == (404, "agent_not_found")
        assert "POST creates one" in answer.json["remedy"]


def test_an_agent_of_another_organization_is_not_found() -> None:
    create(id="reviewer")

    assert get("reviewer", path="/v1/organizations/124/agents").status == 404
    assert agents(path="/v1/organizations/124/agents").json["items"] == []


def test_a_change_creates_the_next_version_and_keeps_the_earlier_ones(clock: TestClock) -> None:
    create(REVIEWER, id="reviewer")
    clock.sleep(60)
    changed = update("reviewer", {"description": "Updated description", "configuration": {"max_files": 100}})

    assert changed.status == 200
    assert changed.json["version"] == 2
    assert changed.json["configuration"] == {"max_files": 100}
    assert changed.json["name"] == "Code Reviewer"
    assert changed.json["updated_at"] > changed.json["created_at"]
    assert get("reviewer").json == changed.json
    assert get("reviewer", "?version=1").json["description"] == "Specialized in code review tasks"
    assert [item["version"] for item in versions("reviewer").json["items"]] == [2, 1]


def test_null_removes_a_value_and_an_absent_field_keeps_it() -> None:
    create(REVIEWER, id="reviewer")
    changed = update("reviewer", {"model": None, "configuration": None, "tags": None}).json

    assert (changed["model"], changed["configuration"], changed["tags"]) == (None, {}, [])
    assert changed["system_prompt"] == "You review code."


@pytest.mark.parametrize("body", [{"name": None}, {"type": None}, {"version": "2"}, {"configuration": 5}])
def test_a_change_that_makes_the_agent_invalid_is_refused(body: dict[str, Any]) -> None:
    create(id="reviewer")

    assert update("reviewer", body).status == 422
    assert get("reviewer").json["version"] == 1


def test_a_change_without_a_difference_creates_no_version() -> None:
    create(REVIEWER, id="reviewer")

    assert update("reviewer", {"name": "Code Reviewer"}).json["version"] == 1
    assert update("reviewer", {}).json["version"] == 1


def test_a_change_to_an_older_version_is_refused() -> None:
    create(id="reviewer")
    etag = get("reviewer").headers["etag"]
    assert update("reviewer", {"name": "B", "version": 1}).json["version"] == 2
    stale = update("reviewer", {"name": "C", "version": 1})
    unmatched = update("reviewer", {"name": "C"}, if_match=etag)

    assert (stale.status, stale.json["code"], stale.json["version"]) == (409, "agent_changed", 2)
    assert (unmatched.status, unmatched.json["code"], unmatched.json["version"]) == (412, "agent_not_matched", 2)
    assert get("reviewer").json["name"] == "B"
    assert update("reviewer", {"name": "C"}, if_match='"2"').json["version"] == 3
    assert update("reviewer", {"name": "D"}, if_match="*").json["version"] == 4


def test_the_etag_of_an_answer_is_accepted_by_a_change() -> None:
    etag = create(id="reviewer").headers["etag"]
    event = rest("GET", f"{PATH}/reviewer", headers={"If-None-Match": etag}, caller=ADA)

    assert get("reviewer").headers["etag"] == etag
    assert call(handlers.handler("agents/get"), event).status == 304
    assert update("reviewer", {"name": "B"}, if_match=etag).status == 200
    assert call(handlers.handler("agents/get"), event).status == 200


@pytest.mark.parametrize("position", ["", "x agent", "12", "12 9 x", "² a", "1 line\n"])
def test_a_cursor_without_a_place_among_agents_is_refused(position: str) -> None:
    cursor = Listing.of(ADA, "agents", ORG, None).cursor(position)

    assert agents(f"?cursor={cursor}").json["code"] == "invalid_cursor"


@pytest.mark.parametrize("position", ["", "x", "1.5", "²"])
def test_a_cursor_without_a_place_among_versions_is_refused(position: str) -> None:
    create(id="reviewer")
    cursor = Listing.of(ADA, "agent-versions", ORG, "reviewer").cursor(position)

    assert versions("reviewer", f"?cursor={cursor}").json["code"] == "invalid_cursor"


@contextmanager
def overtaken(act: Callable[[], object], *, times: int | None = 1) -> Iterator[None]:
    """Let another request act before a change is stored."""
    table = Overtaken(current().agents, "replace", act, times=times)
    with working_with(Backend(clock=current().clock, agents=cast(AgentsTable, table))):
        yield


def test_concurrent_changes_of_different_fields_are_both_kept() -> None:
    create(id="reviewer")
    with overtaken(lambda: update("reviewer", {"description": "by somebody else"})):
        answer = update("reviewer", {"name": "B"})

    assert (answer.json["version"], answer.json["name"]) == (3, "B")
    assert answer.json["description"] == "by somebody else"


def test_a_change_after_a_concurrent_deletion_is_not_stored() -> None:
    create(id="reviewer")
    with overtaken(lambda: delete("reviewer")):
        answer = update("reviewer", {"name": "B"})

    assert answer.status == 404
    assert agents().json["items"] == []
    assert [item["version"] for item in versions("reviewer").json["items"]] == [1]


def test_a_repeated_tag_is_stored_once() -> None:
    assert create(tags=["b", "a", "b"]).json["tags"] == ["b", "a"]


def test_a_deleted_agent_accepts_no_task_and_its_versions_stay_readable() -> None:
    create(REVIEWER, id="reviewer")
    update("reviewer", {"name": "B"})

    assert delete("reviewer").status == 204
    assert get("reviewer").status == 404
    assert update("reviewer", {"name": "C"}).status == 404
    assert delete("reviewer").status == 404
    assert agents().json["items"] == []
    assert get("reviewer", "?version=1").json["name"] == "Code Reviewer"
    assert [item["version"] for item in versions("reviewer").json["items"]] == [2, 1]


def test_a_reused_id_continues_with_the_next_version() -> None:
    create(REVIEWER, id="reviewer")
    delete("reviewer")
    again = create({"name": "Another"}, id="reviewer")

    assert (again.status, again.json["version"], again.json["system_prompt"]) == (201, 2, None)
    assert get("reviewer", "?version=1").json["name"] == "Code Reviewer"
    assert names(agents()) == ["reviewer"]


def test_the_newest_agent_comes_first_and_pages_follow_one_another(clock: TestClock) -> None:
    for number in range(5):
        create(id=f"agent_{number}", tags=["odd" if number % 2 else "even"])
        clock.sleep(1)
    first = agents("?limit=3")
    second = agents(f"?limit=3&cursor={first.json['next_cursor']}")

    assert names(first) + names(second) == [f"agent_{number}" for number in (4, 3, 2, 1, 0)]
    assert (first.json["has_more"], second.json["has_more"]) == (True, False)


def test_agents_are_filtered_by_tag_before_they_are_paged(clock: TestClock) -> None:
    for number in range(45):
        create(id=f"agent_{number}", tags=["tenth"] if number % 10 == 0 else [])
        clock.sleep(1)
    first = agents("?tag=tenth&limit=3")
    second = agents(f"?tag=tenth&limit=3&cursor={first.json['next_cursor']}")

    assert names(first) + names(second) == ["agent_40", "agent_30", "agent_20", "agent_10", "agent_0"]
    assert agents(f"?tag=other&cursor={first.json['next_cursor']}").json["code"] == "invalid_cursor"


@pytest.mark.parametrize("tag", ["caf\u00e9", "cafe\u0301", "CAF\u00c9"])
def test_a_tag_is_found_in_every_normal_form_and_case(tag: str) -> None:
    create(id="composed", tags=["caf\u00e9"])
    create(id="decomposed", tags=["Cafe\u0301"])
    create(id="other", tags=["cafe"])

    for path in ("/v1/organizations/123/agents", "/api/agents"):
        assert set(names(agents(f"?tag={quote(tag)}", path=path))) == {"composed", "decomposed"}


def test_the_api_agents_path_pages_by_limit_and_offset(clock: TestClock) -> None:
    for number in range(5):
        create(id=f"agent_{number}", tags=["production"] if number else [], path="/api/agents")
        clock.sleep(1)
    page = agents("?limit=2&offset=1&tag=production", path="/api/agents")

    assert names(page) == ["agent_3", "agent_2"]
    assert {name: page.json[name] for name in ("total", "limit", "offset")} == {"total": 4, "limit": 2, "offset": 1}
    assert names(agents("?offset=99", path="/api/agents")) == []
    assert agents("?offset=-1", path="/api/agents").status == 422
    assert get("agent_3", path="/api/agents").json["id"] == "agent_3"
    assert update("agent_3", {"name": "B"}, path="/api/agents").json["version"] == 2
    assert delete("agent_3", path="/api/agents").status == 204


def test_versions_come_in_pages() -> None:
    create(id="reviewer")
    for number in range(4):
        update("reviewer", {"name": f"B{number}"})
    first = versions("reviewer", "?limit=3").json
    second = versions("reviewer", f"?limit=3&cursor={first['next_cursor']}").json

    assert [item["version"] for item in first["items"] + second["items"]] == [5, 4, 3, 2, 1]
    assert versions("nobody").status == 404


def test_a_change_that_conflicts_every_time_can_be_retried() -> None:
    create(id="reviewer")
    table = current().agents

    def change() -> None:
        known = table.get(ORG, "reviewer")
        assert known
        table.replace(ORG, known.model_copy(update={"version": known.version + 1}), known)

    with overtaken(change, times=None):
        answer = update("reviewer", {"description": "late"})

    assert (answer.json["code"], answer.json["retryable"]) == (StorageUnavailable.code, True)
    assert get("reviewer").json["description"] is None
