"""A multi-run is one card in the list of runs, and no card shows an internal prompt."""

from typing import Any
from urllib.parse import urlencode

import pytest

from codegen_runs.callers import Caller
from codegen_runs.runs import following
from codegen_runs.storage.multi_runs import Answer, AnswerSource, MultiRunStatus
from codegen_runs.storage.runs import Launch
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, DEMO_USER_ID, FakeCodegen
from tests.support.backend import TestClock
from tests.support.events import Answer as Response
from tests.support.events import call, current, rest
from tests.support.handlers import handler
from tests.unit.multi_runs.records import multi_run

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({DEMO_ORG_ID}), token=DEMO_TOKEN)
PATH = f"/v1/organizations/{DEMO_ORG_ID}/run-cards"
INTERNAL = "Several agents answered the same task independently."


@pytest.fixture(autouse=True)
def _only_ours(fake: FakeCodegen) -> None:
    fake.runs.clear()


def group(name: str, clock: TestClock, *roles: str, **changes: Any) -> str:
    """Store a multi-run whose runs wait for their launch."""
    made = multi_run(id=name, org_id=DEMO_ORG_ID, created_at=round(clock.now() * 1000), **changes)
    current().multi_runs.add(made)
    for role in roles:
        queue(clock, f"{name}-{role}", name, made.prompt if role.isdecimal() else f"Say hello.\n\n{INTERNAL}")
    return name


def queue(clock: TestClock, key: str, of: str, prompt: str) -> None:
    clock.sleep(0.1)
    following.enqueue(
        org_id=DEMO_ORG_ID,
        key=key,
        prompt=prompt,
        launch=Launch(metadata={"multi_run_id": of}),
        task_token="token",
        multi_run_id=of,
        deadline=clock.now() + 3600,
        backend=current(),
    )


def start(fake: FakeCodegen, prompt: str = "Say hello.", **more: Any) -> int:
    """Start a run at the fake, without this deployment."""
    return fake.start(fake.organizations[DEMO_ORG_ID], prompt, user_id=DEMO_USER_ID, **more).id


def listed(path: str = PATH, **query: Any) -> Response:
    answer = call(handler("run_cards/list"), rest("GET", f"{path}?{urlencode(query)}", caller=ADA))
    assert answer.status == 200, answer.text
    return answer


def keys(answer: Response) -> list[Any]:
    return [card["key"] or card["id"] for card in answer.json["items"]]


def launch(make_poller: Any, clock: TestClock) -> None:
    for _ in range(3):
        make_poller().tick(clock.now() + 5)
        clock.sleep(5)


@pytest.mark.parametrize("path", [PATH, "/agent_runs", "/api/runs"])
def test_a_multi_run_is_one_card_with_its_runs_behind_a_link(path: str, clock: TestClock, fake: FakeCodegen) -> None:
    other = start(fake)
    clock.sleep(1)
    answer = Answer(text="Done.", source=AnswerSource.SYNTHESIS)
    name = group("mr-1", clock, "0", "1", "synthesis", answer=answer, status=MultiRunStatus.SYNTHESIZING)

    found = listed(path)

    assert keys(found) == [name, other]
    card = found.json["items"][0]
    assert (card["id"], card["status"], card["prompt"]) == (None, "running", "Fix the race in the cache.")
    assert (card["result_preview"], card["multi_run_id"]) == ("Done.", name)
    assert card["multi_run"] == {
        "id": name,
        "strategy": "synthesize",
        "requested": 3,
        "link": f"/v1/organizations/{DEMO_ORG_ID}/multi-runs/{name}",
    }
    assert found.json["items"][1]["multi_run"] is None
    assert (found.json["total"], found.json["total_exact"]) == (2, True)


def test_launched_runs_are_folded_too(make_poller: Any, clock: TestClock, fake: FakeCodegen) -> None:
    group("mr-1", clock, "0", "1")
    launch(make_poller, clock)

    assert len(fake.creates) == 2
    assert keys(listed()) == ["mr-1"]


def test_the_runs_of_multi_runs_are_listed_on_request(clock: TestClock) -> None:
    group("mr-1", clock, "0", "1", "synthesis")

    assert keys(listed(children="true")) == ["mr-1-synthesis", "mr-1-1", "mr-1-0"]


def test_a_starred_run_of_a_multi_run_is_listed_itself(make_poller: Any, clock: TestClock, fake: FakeCodegen) -> None:
    group("mr-1", clock, "0", "1")
    launch(make_poller, clock)
    run_id = listed(children="true").json["items"][0]["id"]
    star = rest("POST", f"/v1/organizations/{DEMO_ORG_ID}/starred-runs", body={"agent_run_id": run_id}, caller=ADA)
    assert call(handler("starred_runs/star"), star).status == 200

    assert [card["id"] for card in listed(starred="true").json["items"]] == [run_id]


def test_pages_count_a_multi_run_once(clock: TestClock) -> None:
    for number in range(3):
        group(f"mr-{number}", clock, "0", "1")
    first, second = listed(limit=2), listed(limit=2, page=2)

    assert (keys(first), keys(second)) == (["mr-2", "mr-1"], ["mr-0"])
    assert (first.json["has_more"], second.json["has_more"]) == (True, False)


def test_a_filter_shows_a_multi_run_if_one_of_its_runs_matches(clock: TestClock) -> None:
    group("mr-1", clock, "0", "1")

    assert keys(listed(q="cache")) == ["mr-1"]
    assert keys(listed(q="somewhere else")) == []
    assert keys(listed(status="completed")) == []


def test_metadata_alone_folds_no_run(clock: TestClock, fake: FakeCodegen) -> None:
    """A caller can write the id of a multi-run into the metadata of any run."""
    group("mr-1", clock)
    run = start(fake, metadata={"multi_run_id": "mr-1"})

    assert keys(listed()) == [run]


def test_a_run_whose_multi_run_is_not_there_stays_in_the_list(clock: TestClock) -> None:
    group("mr-1", clock)
    queue(clock, "mr-9-0", "mr-9", "Wait.")

    assert keys(listed()) == ["mr-9-0"]


@pytest.mark.parametrize("role", ["synthesis", "judge-0"])
def test_no_card_shows_or_finds_the_prompt_of_an_internal_run(
    role: str, make_poller: Any, clock: TestClock, fake: FakeCodegen
) -> None:
    group("mr-1", clock, "0", role)
    waiting = listed(children="true")
    launch(make_poller, clock)
    launched = listed(children="true")
    (run_id,) = [card["id"] for card in launched.json["items"] if card["key"] == f"mr-1-{role}"]
    details = [
        call(handler("run_cards/get"), rest("GET", f"/agent_runs/{name}", caller=ADA))
        for name in (f"mr-1-{role}", run_id)
    ]

    assert len(keys(waiting)) == len(keys(launched)) == 2
    for answer in (waiting, launched, *details):
        assert answer.status == 200
        assert INTERNAL not in answer.text
    assert [each.json["prompts"] for each in details] == [[], []]
    assert keys(listed(children="true", q="independently")) == []
    (candidate,) = [card for card in launched.json["items"] if card["key"] == "mr-1-0"]
    assert candidate["prompt"] == "Fix the race in the cache."
