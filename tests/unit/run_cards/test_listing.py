"""Lists of run cards: their pages, their filters, and the calls that they cost."""

import json
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from codegen_api import CodegenAPI
from codegen_runs import aws, upstream
from codegen_runs.callers import Caller
from codegen_runs.run_cards import repos
from codegen_runs.run_cards.listing import MOST_SCANNED
from codegen_runs.runs import following
from codegen_runs.storage.runs import Launch
from local.fake_codegen import (
    DEMO_ORG_ID,
    DEMO_REPO_ID,
    DEMO_TOKEN,
    DEMO_USER_ID,
    FakeCodegen,
    FakeTransport,
    Script,
    Trouble,
)
from local.fake_codegen.schemas import ApiAgentRunSourceType as Source
from tests.support.aws import Aws
from tests.support.backend import TestClock
from tests.support.events import Answer, call, current, rest
from tests.support.handlers import handler

ADA = Caller(id="user:789", user_id=789, organizations=frozenset({DEMO_ORG_ID, 124}), token=DEMO_TOKEN)
BOB = Caller(id="user:790", user_id=790, organizations=frozenset({DEMO_ORG_ID}), token=DEMO_TOKEN)

HOUR = 3600


def list_(path: str = "/agent_runs", caller: Caller = ADA, **query: Any) -> Answer:
    return call(handler("run_cards/list"), rest("GET", f"{path}?{urlencode(query)}", caller=caller))


def ids(answer: Answer) -> list[Any]:
    assert answer.status == 200, answer.text
    return [card["id"] or card["key"] for card in answer.json["items"]]


def create(prompt: str, **body: Any) -> int:
    path = f"/v1/organizations/{DEMO_ORG_ID}/run-cards"
    event = rest("POST", path, body={"prompt": prompt, **body}, caller=ADA)
    run_id: int = call(handler("run_cards/create"), event).json["id"]
    return run_id


def star(run_id: int) -> None:
    path = f"/v1/organizations/{DEMO_ORG_ID}/starred-runs"
    call(handler("starred_runs/star"), rest("POST", path, body={"agent_run_id": run_id}, caller=ADA))


def queue(clock: TestClock, key: str, *, prompt: str = "Wait.", **launch: Any) -> None:
    following.enqueue(
        org_id=DEMO_ORG_ID,
        key=key,
        prompt=prompt,
        launch=Launch(**launch),
        task_token="token",
        multi_run_id="mr-1",
        deadline=clock.now() + HOUR,
        backend=current(),
    )


@pytest.fixture
def empty(fake: FakeCodegen) -> FakeCodegen:
    """The fake without its initial runs."""
    fake.runs.clear()
    return fake


def start(fake: FakeCodegen, *, ago: float = 0, prompt: str = "Say hello.", **more: Any) -> int:
    """Start a run at the fake, without this deployment."""
    organization = fake.organizations[DEMO_ORG_ID]
    return fake.start(organization, prompt, user_id=DEMO_USER_ID, ago=ago, **more).id


# --- pages ---


def test_pages_contain_all_runs_of_the_upstream_whoever_started_them(empty: FakeCodegen) -> None:
    slack = start(empty, ago=2 * HOUR, source_type=Source.SLACK)
    check = start(empty, ago=HOUR, source_type=Source.GITHUB_CHECK_SUITE)
    ours = create("Do it.")
    first, second, beyond = [list_(page=page, limit=2) for page in (1, 2, 9)]

    assert (ids(first), ids(second), ids(beyond)) == ([ours, check], [slack], [])
    envelopes = [{name: value for name, value in page.json.items() if name != "items"} for page in (first, beyond)]
    assert envelopes[0] == {
        "total": 3,
        "total_exact": True,
        "has_more": True,
        "truncated": False,
        "page": 1,
        "size": 2,
        "pages": 2,
    }
    assert envelopes[1] == envelopes[0] | {"has_more": False, "page": 9}


def test_runs_by_offset_are_the_same_list(empty: FakeCodegen) -> None:
    runs = [start(empty, ago=ago) for ago in range(5)]
    answer = list_("/api/runs", offset=1, limit=3)

    assert ids(answer) == runs[1:4]
    assert (answer.json["total"], answer.json["limit"], answer.json["offset"]) == (5, 3, 1)
    assert ids(list_("/api/runs", status="failed")) == []


def test_runs_that_wait_for_their_launch_are_in_order_on_every_page(empty: FakeCodegen, clock: TestClock) -> None:
    whole: list[Any] = []
    for number in range(12):
        if number % 3 == 1:
            queue(clock, key := f"mr-{number}")
            whole.insert(0, key)
        else:
            whole.insert(0, start(empty))
        clock.sleep(60)

    for size in (1, 3, 5, 100):
        pages = [list_(page=page, limit=size) for page in range(1, 12 // size + 2)]
        assert [run for page in pages for run in ids(page)] == whole
        assert {page.json["total"] for page in pages} == {12}
        assert [page.json["has_more"] for page in pages] == [page * size < 12 for page in range(1, len(pages) + 1)]
    assert ids(list_(q="", status="queued,running,completed")) == whole


def test_a_run_that_is_being_launched_is_shown_once(empty: FakeCodegen, clock: TestClock) -> None:
    queue(clock, "mr-1")
    run_id = start(empty, metadata={"client_run_id": "mr-1"})

    assert ids(list_()) == ids(list_(status="running")) == [run_id]
    assert list_().json["total"] == 1


def test_a_list_accepts_metadata_of_any_shape(empty: FakeCodegen, clock: TestClock) -> None:
    queue(clock, "mr-1")
    start(empty, metadata={"client_run_id": ["a", {}], "tags": {"a": 1}, "tag": 5})

    assert len(ids(list_())) == 2
    assert ids(list_(tag="a")) == []


def test_a_run_of_another_organization_is_not_shown(empty: FakeCodegen, clock: TestClock) -> None:
    queue(clock, "mr-1")

    assert ids(list_(f"/v1/organizations/{DEMO_ORG_ID}/run-cards")) == ["mr-1"]
    assert ids(list_("/v1/organizations/124/run-cards")) == []
    assert list_("/v1/organizations/999/run-cards").status == 403


@pytest.mark.parametrize(
    ("query", "pointer", "message"),
    [
        ({"limit": 0}, "/query/limit", "greater than or equal to 1"),
        ({"limit": 1000}, "/query/limit", "less than or equal to 100"),
        ({"page": 0}, "/query/page", "greater than or equal to 1"),
        ({"page": "two"}, "/query/page", "valid integer"),
        ({"status": "sleeping"}, "/query/status", "queued, launching, running, paused, cancelling, unknown, completed"),
        ({"status": "running,"}, "/query/status", "one or more of"),
        ({"created_after": "yesterday"}, "/query/created_after", "valid datetime"),
        ({"created_before": "2024-13-01"}, "/query/created_before", "valid datetime"),
        ({"starred": "maybe"}, "/query/starred", "valid boolean"),
    ],
)
def test_an_invalid_query_is_refused_with_its_fault(query: Any, pointer: str, message: str) -> None:
    answer = list_(**query)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == pointer
    assert message in answer.json["errors"][0]["detail"]


def test_an_unknown_source_is_refused_with_the_upstreams_message() -> None:
    answer = list_(source_type="pigeon")

    assert answer.status == 422
    assert "SLACK" in answer.json["message"]


# --- filters ---


def test_pages_contain_only_matching_runs(empty: FakeCodegen, clock: TestClock) -> None:
    runs = [
        start(empty, ago=HOUR + number, script=Script(ending=ending))
        for number, ending in enumerate(
            ["COMPLETE", "FAILED", "COMPLETE", "ERROR", "MAX_ITERATIONS_REACHED", "COMPLETE"]
        )
    ]
    completed = [runs[0], runs[2], runs[5]]

    assert [ids(list_(status="completed", page=page, limit=2)) for page in (1, 2, 3)] == [
        completed[:2],
        completed[2:],
        [],
    ]
    assert ids(list_(status="FAILED")) == ids(list_(status="Error")) == [runs[1], runs[3]]
    assert ids(list_(status="incomplete, completed")) == [runs[0], runs[2], runs[4], runs[5]]
    assert [list_(status="completed", page=2, limit=2).json[name] for name in ("total", "total_exact", "pages")] == [
        3,
        True,
        2,
    ]


@pytest.mark.parametrize("path", ["/v1/organizations/123/run-cards", "/agent_runs", "/api/runs"])
@pytest.mark.parametrize(
    "query",
    ["status=completed&status=queued", "status=completed,queued&status=RUNNING", "status=&status=completed,queued"],
)
def test_several_statuses_are_separated_by_commas_or_repeated(path: str, query: str) -> None:
    answer = call(handler("run_cards/list"), rest("GET", f"{path}?{query}", caller=ADA))

    assert answer.status == 200, answer.text


@pytest.mark.parametrize("query", ["status=completed&status=nonsense", "status=completed,nonsense&status=queued"])
def test_each_of_several_statuses_is_checked(query: str) -> None:
    answer = call(handler("run_cards/list"), rest("GET", f"/agent_runs?{query}", caller=ADA))

    assert (answer.status, answer.json["errors"][0]["pointer"]) == (422, "/query/status")


def test_created_after_is_inclusive_and_created_before_exclusive(empty: FakeCodegen, codegen: CodegenAPI) -> None:
    runs = [start(empty, ago=number * HOUR) for number in range(4)]
    created = [run.created_at for run in codegen.runs.list(org_id=DEMO_ORG_ID).items]
    after, before = [moment.isoformat() for moment in (created[2], created[1]) if moment]

    assert ids(list_(created_after=after)) == runs[:3]
    assert ids(list_(created_before=before)) == runs[2:]
    assert ids(list_(created_after=after, created_before=before)) == [runs[2]]
    assert ids(list_(created_after=before, created_before=after)) == []
    assert ids(list_(created_after="2024-01-15T10:30:00Z")) == ids(list_(created_after="2024-01-15")) == runs


def test_runs_before_a_date_long_ago_are_found_by_binary_search(empty: FakeCodegen, clock: TestClock) -> None:
    runs = [start(empty, ago=number * 60) for number in range(1_300)]
    before = empty.calls["list_agent_runs"]
    moment = runs[1_200 - 1]
    answer = list_(created_before=created(empty, moment), limit=3)

    assert ids(answer) == runs[1_200:1_203]
    assert empty.calls["list_agent_runs"] - before <= 1 + 4 + 2


def created(fake: FakeCodegen, run_id: int) -> str:
    return fake.runs[run_id].created_at.isoformat()


def test_a_repository_matches_by_the_request_and_by_pull_requests(empty: FakeCodegen, codegen: CodegenAPI) -> None:
    asked = create("Say hello.", repo_id=DEMO_REPO_ID)
    elsewhere = start(empty, ago=HOUR, prompt="Fix it.", repo_id=DEMO_REPO_ID, script=Script(pull_request=True))
    start(empty)

    for repo in ("shop", "example-works/shop", "Shop", str(DEMO_REPO_ID)):
        found = ids(list_(repo=repo))
        assert found == ([asked] if repo.isdecimal() else [asked, elsewhere])
    assert ids(list_(repo="other")) == []


def test_without_repository_names_only_the_filter_by_name_fails(empty: FakeCodegen, clock: TestClock) -> None:
    run_id = create("Say hello.", repo_id=DEMO_REPO_ID)
    repos.forget()
    empty.trouble("get_repositories", Trouble("error", status=500), times=None)

    assert [(card["id"], card["repo_id"], card["repo_name"]) for card in list_().json["items"]] == [
        (run_id, DEMO_REPO_ID, None)
    ]
    assert list_(repo="shop").status == 502


def test_tags_are_read_from_the_metadata(empty: FakeCodegen) -> None:
    first = create("One.", metadata={"tags": ["nightly", "db"]})
    second = create("Two.", metadata={"tag": "Nightly"})
    create("Three.", metadata={"tags": "db"})

    assert set(ids(list_(tag="nightly"))) == {first, second}


def test_the_filter_by_star_uses_the_callers_own_stars(empty: FakeCodegen) -> None:
    runs = [start(empty, ago=number) for number in range(3)]
    star(runs[1])

    assert ids(list_(starred="true")) == [runs[1]]
    assert ids(list_(starred="false")) == [runs[0], runs[2]]
    assert [card["starred"] for card in list_().json["items"]] == [False, True, False]
    assert ids(list_(starred="true", caller=BOB)) == []


def test_words_are_searched_in_prompts_answers_titles_and_metadata(empty: FakeCodegen, clock: TestClock) -> None:
    prompted = create("Fix the flaky Cart test.")
    answered = start(empty, ago=HOUR, result="The cart is fine.")
    tagged = start(empty, ago=2 * HOUR, metadata={"ticket": {"name": "CART-7"}})
    queue(clock, "mr-1-0", prompt="Rewrite the cart.")
    start(empty)

    assert set(ids(list_(q="cart"))) == {prompted, answered, tagged, "mr-1-0"}
    assert ids(list_(q="CART flaky")) == [prompted]
    assert ids(list_(q="cart unheard-of")) == []


def test_the_upstream_filters_by_source(empty: FakeCodegen, clock: TestClock) -> None:
    slack = start(empty, source_type=Source.SLACK)
    ours = start(empty)
    queue(clock, "mr-1")

    assert ids(list_(source_type="slack")) == [slack]
    assert set(ids(list_(source_type="API"))) == {ours, "mr-1"}
    assert ids(list_(source_type="slack", status="running")) == [slack]


# --- cost ---


def spent(fake: FakeCodegen, **query: Any) -> dict[str, int]:
    before = dict(fake.calls)
    list_(**query)
    return {name: count - before.get(name, 0) for name, count in fake.calls.items() if count != before.get(name, 0)}


def test_a_page_costs_one_call_and_repository_names_one_in_minutes(empty: FakeCodegen, clock: TestClock) -> None:
    for number in range(3):
        create(f"Do {number}.", repo_id=DEMO_REPO_ID)
    clock.sleep(400)

    assert spent(empty) == {"list_agent_runs": 1, "get_repositories": 1}
    assert spent(empty) == {"list_agent_runs": 1}
    assert spent(empty, page=50, limit=100) == {"list_agent_runs": 1}


def test_a_filtered_page_reads_no_further_than_it_needs(empty: FakeCodegen) -> None:
    for number in range(450):
        start(empty, ago=HOUR + number)
    full, whole = list_(status="completed", limit=5), list_(status="completed", page=5, limit=100)

    assert spent(empty, status="completed", limit=5) == {"list_agent_runs": 1}
    assert (full.json["total_exact"], full.json["has_more"]) == (False, True)
    assert spent(empty, status="failed") == {"list_agent_runs": 5}
    assert (len(ids(whole)), whole.json["total"], whole.json["total_exact"]) == (50, 450, True)


def test_a_filter_that_matches_few_runs_stops_and_reports_it(empty: FakeCodegen) -> None:
    oldest = start(empty, ago=10 * HOUR, script=Script(ending="FAILED"))
    for number in range(MOST_SCANNED + 50):
        start(empty, ago=HOUR + number)
    answer = list_(status="failed")

    assert spent(empty, status="failed") == {"list_agent_runs": MOST_SCANNED // 100}
    assert (ids(answer), answer.json["truncated"], answer.json["total_exact"]) == ([], True, False)
    assert ids(list_(status="failed", created_before=created(empty, oldest + 500))) == [oldest]


def test_starred_runs_are_searched_until_all_are_found(empty: FakeCodegen) -> None:
    runs = [start(empty, ago=HOUR + number) for number in range(350)]
    star(runs[120])

    assert spent(empty, starred="true") == {"list_agent_runs": 2}
    assert spent(empty, starred="true", q="nothing") == {"list_agent_runs": 2}


def test_tables_are_read_in_batches(empty: FakeCodegen) -> None:
    for number in range(120):
        start(empty, ago=HOUR + number)
    services = Aws()
    with aws.wire.over(services):
        ids(list_(limit=100))

    assert sorted(services.asked) == ["BatchGetItem"] * 2 + ["Query"] * 2


# --- odd items ---


class Odd(httpx.BaseTransport):
    """The fake, whose lists of runs have further items before their own."""

    def __init__(self, fake: FakeCodegen, items: list[Any], **more: Any) -> None:
        self._fake = FakeTransport(fake)
        self._items = items
        self._more = more

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._fake.handle_request(request)
        if not request.url.path.endswith("/agent/runs"):
            return response
        page = json.loads(response.read())
        page["items"] = self._items + page["items"]
        return httpx.Response(200, json=page | {"total": page["total"] + len(self._items)} | self._more)


@pytest.mark.parametrize("query", [{}, {"q": "Done"}, {"limit": 100}])
@pytest.mark.parametrize(
    "odd",
    [
        [None, None, "x", 3, []],
        [{"status": "ACTIVE"}, {"status": 5, "created_at": {}, "metadata": "m", "result": [1], "summary": {}}],
        [{"id": 8, "organization_id": 123}, {"id": 8, "organization_id": 123}],
        [{"id": 10**30, "organization_id": 123}, {"id": "x", "github_pull_requests": [None, {"id": "y", "url": 5}]}],
    ],
)
def test_odd_items_hide_no_card(empty: FakeCodegen, odd: list[Any], query: dict[str, Any]) -> None:
    first, second = start(empty, ago=9), start(empty)
    with upstream.over(Odd(empty, odd)):
        answer = list_(**query)

    found = ids(answer)
    assert found[-2:] == [second, first] or query == {"q": "Done"}
    assert len(found) == len(odd) + 2 or query == {"q": "Done"}


@pytest.mark.parametrize(
    "odd",
    [
        None,
        {"id": "x", "organization_id": 123, "status": "ACTIVE"},
        {"organization_id": 123},
        {"id": 10**30, "organization_id": 123},
    ],
)
def test_a_run_without_a_readable_id_has_a_card_without_actions(empty: FakeCodegen, odd: Any) -> None:
    with upstream.over(Odd(empty, [odd])):
        (card,) = list_().json["items"]

    assert (card["id"], card["allowed_actions"]) == (None, [])
    assert card["unreadable"] == (["raw"] if odd is None else ["id"])


def test_odd_values_of_a_run_are_named_and_the_rest_is_shown(empty: FakeCodegen) -> None:
    odd = {
        "id": "8",
        "organization_id": 123,
        "status": 5,
        "github_pull_requests": [{"id": {}, "url": "https://a.example"}],
    }
    with upstream.over(Odd(empty, [odd])):
        (card,) = list_().json["items"]

    assert (card["id"], card["unreadable"]) == (8, ["id", "status"])
    assert card["allowed_actions"]
    assert [(each["id"], each["url"]) for each in card["pull_requests"]] == [(None, "https://a.example")]


@pytest.mark.parametrize("total", [None, "2", "many", {}])
def test_a_list_whose_total_cannot_be_read_is_listed(empty: FakeCodegen, total: Any) -> None:
    first, second = start(empty, ago=9), start(empty)
    with upstream.over(Odd(empty, [], total=total)):
        assert ids(list_()) == [second, first]
        assert list_().json["has_more"] is False
