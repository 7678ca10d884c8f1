"""Star, unstar and list runs through the handlers."""

from collections.abc import Iterator
from typing import Any

import pytest

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.runs import transitions
from codegen_runs.runs.following import follow
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport
from local.template import Template
from tests.support import handlers
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, call, current, rest, working_with

ORG = 123
PATH = f"/v1/organizations/{ORG}/starred-runs"
ADA = Caller(id="user:789", user_id=789, organizations=frozenset({123, 124}), token=DEMO_TOKEN)
BOB = Caller(id="user:1", user_id=1, organizations=frozenset({123}), token=DEMO_TOKEN)


@pytest.fixture(autouse=True)
def _upstream(deployed: Template, fake: FakeCodegen, clock: TestClock) -> Iterator[None]:
    with upstream.over(FakeTransport(fake)), working_with(Backend(clock=clock, kick=Kicks())):
        yield


@pytest.fixture
def ids(codegen: Any) -> list[int]:
    return [run.id for run in codegen.runs.list(org_id=ORG).items]


def star(agent_run_id: Any, path: str = PATH, caller: Caller = ADA, **more: Any) -> Answer:
    body = {"agent_run_id": agent_run_id, **more}
    return call(handlers.handler("starred_runs/star"), rest("POST", path, body=body, caller=caller))


def unstar(agent_run_id: int) -> Answer:
    return call(handlers.handler("starred_runs/unstar"), rest("DELETE", f"{PATH}/{agent_run_id}", caller=ADA))


def starred(query: str = "", path: str = PATH, caller: Caller = ADA) -> Answer:
    return call(handlers.handler("starred_runs/list"), rest("GET", path + query, caller=caller))


def test_a_starred_run_is_listed_with_its_card(ids: list[int]) -> None:
    assert star(ids[0], note="Look at this.").status == 200
    (item,) = starred().json["items"]

    assert item["agent_run_id"] == ids[0]
    assert item["note"] == "Look at this."
    assert item["run"]["id"] == ids[0]
    assert item["run"]["status"] == "completed"
    assert item["run"]["created_at"].endswith("Z")


def test_the_newest_star_comes_first(ids: list[int], clock: TestClock) -> None:
    for agent_run_id in ids[:5]:
        star(agent_run_id)
        clock.sleep(1)

    assert [item["agent_run_id"] for item in starred().json["items"]] == ids[:5][::-1]


def test_a_run_starred_twice_keeps_the_time_of_its_first_star(ids: list[int], clock: TestClock) -> None:
    first = star(ids[0]).json
    clock.sleep(60)
    second = star(ids[0], note="Now with a note.").json
    third = star(ids[0]).json

    assert second == first | {"note": "Now with a note."}
    assert third == second
    assert len(starred().json["items"]) == 1


def test_an_id_can_be_a_string_of_digits(ids: list[int]) -> None:
    assert star(str(ids[0])).json["agent_run_id"] == ids[0]


@pytest.mark.parametrize("agent_run_id", ["abc123", None, 1.5, {}, [1]])
def test_an_id_that_is_not_a_number_is_refused(agent_run_id: Any) -> None:
    answer = star(agent_run_id)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/body/agent_run_id"


def test_a_run_that_does_not_exist_cannot_be_starred() -> None:
    answer = star(99_999_999)

    assert answer.status == 404
    assert answer.json["message"] == "Agent run not found."
    assert starred().json["items"] == []


def test_an_unstarred_run_is_not_listed_and_can_be_unstarred_again(ids: list[int]) -> None:
    star(ids[0])
    assert [unstar(ids[0]).status for _ in range(2)] == [204, 204]
    assert starred().json["items"] == []


def test_paths_without_an_organization_use_the_deployments(ids: list[int]) -> None:
    assert star(ids[0], path="/starred-runs", starred=True).status == 200
    assert [item["agent_run_id"] for item in starred(path="/starred-runs").json["items"]] == [ids[0]]
    assert star(ids[0], path="/starred-runs", starred=False).json["starred"] is False
    assert starred(path="/starred-runs").json["items"] == []


def test_stars_are_private(ids: list[int]) -> None:
    star(ids[0])

    assert starred(caller=BOB).json["items"] == []


def test_the_star_of_a_run_that_no_longer_exists_has_no_card(ids: list[int], fake: FakeCodegen) -> None:
    star(ids[0])
    fake.runs.clear()
    (item,) = starred().json["items"]

    assert item["run"] is None


def test_the_card_of_a_paused_starred_run_has_its_actions(ids: list[int], runs: RunsTable, clock: TestClock) -> None:
    watch = follow(org_id=ORG, agent_run_id=ids[0], status="COMPLETE", backend=current())
    runs.write(*transitions.paused(watch, now=clock.now()))
    for agent_run_id in ids[:2]:
        star(agent_run_id)
    offered = {
        item["agent_run_id"]: [each["action"] for each in item["run"]["allowed_actions"] if each["enabled"]]
        for item in starred().json["items"]
    }

    assert offered == {ids[0]: ["resume"], ids[1]: ["follow_up"]}


def test_stars_are_listed_page_by_page(ids: list[int], clock: TestClock) -> None:
    for agent_run_id in ids[:5]:
        star(agent_run_id)
        clock.sleep(1)
    first = starred("?limit=3").json
    second = starred(f"?limit=3&cursor={first['next_cursor']}").json

    assert [item["agent_run_id"] for item in first["items"] + second["items"]] == ids[:5][::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_a_cursor_of_another_caller_is_refused(ids: list[int], clock: TestClock) -> None:
    for agent_run_id in ids[:2]:
        star(agent_run_id)
        clock.sleep(1)
    cursor = starred("?limit=1").json["next_cursor"]

    assert starred(f"?cursor={cursor}", caller=BOB).json["code"] == "invalid_cursor"


def test_a_page_of_stars_costs_one_list_call_however_many_there_are(ids: list[int], fake: FakeCodegen) -> None:
    for agent_run_id in ids[:6]:
        star(agent_run_id)
    before = dict(fake.calls)
    starred()
    spent = {name: count - before.get(name, 0) for name, count in fake.calls.items() if count != before.get(name, 0)}

    assert spent == {"list_agent_runs": 1}
