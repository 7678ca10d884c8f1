"""Each condition of a filtered list, for runs of the upstream and for runs that wait for their launch."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import normalize

import pytest

from codegen_api import AgentRun, PullRequest
from codegen_runs.prompts import Prompt
from codegen_runs.run_cards.filters import Filters
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Launch, Watch

CREATED = datetime(2025, 6, 15, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
REPOS = {11: "example-works/shop"}

LATER, EARLIER = CREATED + SECOND, CREATED - SECOND


def run(**fields: Any) -> AgentRun:
    return AgentRun(id=7, organization_id=123, created_at=CREATED.isoformat(), status="ACTIVE", **fields)


def waiting(**changes: Any) -> Watch:
    """Return the watch of a run that waits for its launch."""
    moment = round(CREATED.timestamp() * 1000)
    defaults: dict[str, Any] = {
        "org_id": 123,
        "key": "mr-1-0",
        "status": Status.QUEUED,
        "prompts": (Prompt(text="Rewrite the cart.", at=moment),),
        "repo_id": 11,
        "launch": Launch(repo_id=11, metadata={"tags": ["nightly"], "ticket": {"Name": ["CART-7"]}}),
        "created_at": moment,
        "updated_at": moment,
        "deadline_at": moment + 3_600_000,
    }
    return Watch(**defaults | changes)


def admits(run: AgentRun, watch: Watch | None = None, **filters: Any) -> bool:
    chosen = Filters.of(**filters)
    return chosen.admits(run, frozenset()) and chosen.admits_record(run, watch, REPOS)


@pytest.mark.parametrize(
    ("filters", "admitted"),
    [
        ({}, True),
        ({"created_after": CREATED}, True),
        ({"created_after": LATER}, False),
        ({"created_before": LATER}, True),
        ({"created_before": CREATED}, False),
        ({"source_type": "api"}, True),
        ({"source_type": "slack"}, False),
        ({"starred": False}, True),
        ({"starred": True}, False),
        ({"tag": "Nightly"}, True),
        ({"tag": "weekly"}, False),
        ({"status": ["running,queued"]}, True),
        ({"status": ["running"]}, False),
        ({"repo": "Shop"}, True),
        ({"repo": "example-works/shop"}, True),
        ({"repo": "11"}, True),
        ({"repo": "other"}, False),
        ({"text": "rewrite CART"}, True),
        ({"text": "cart-7 name"}, True),
        ({"text": "cart unheard-of"}, False),
    ],
)
def test_a_waiting_run_must_meet_every_condition(filters: dict[str, Any], admitted: bool) -> None:
    assert Filters.of(**filters).admits_unlaunched(waiting(), REPOS) is admitted


@pytest.mark.parametrize(
    ("words", "admitted"),
    [("summary", True), ("result", True), ("title", True), ("ticket", True), ("Summary RESULT", True), ("no", False)],
)
def test_words_are_searched_in_all_texts_of_a_run(words: str, admitted: bool) -> None:
    pull_request = PullRequest(id=1, title="The title")
    described = run(summary="A summary", result="A result", metadata={"ticket": 7}, github_pull_requests=[pull_request])

    assert admits(described, text=words) is admitted


def test_words_are_searched_in_every_prompt() -> None:
    prompts = tuple(Prompt(number=number, text=text, at=0) for number, text in enumerate(["First.", "Second."], 1))

    assert admits(run(), waiting(prompts=prompts), text="second")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_words_repositories_and_tags_are_found_in_every_normal_form(stored: str, form: str) -> None:
    def sent(text: str) -> str:
        return normalize(form, text)

    def kept(text: str) -> str:
        return normalize(stored, text)

    described = run(summary=kept("R\u00e9sum\u00e9 der Stra\u00dfe"), metadata={"tags": [kept("\u00dcbung")]})
    repos = {11: kept("caf\u00e9/Men\u00fc")}
    chosen = Filters.of(text=sent("r\u00e9sum\u00e9 STRASSE"), tag=sent("\u00fcbung"), repo=sent("men\u00fc"))

    assert chosen.admits(described, frozenset())
    assert chosen.admits_record(described, waiting(), repos)


@pytest.mark.parametrize("filters", [{"created_after": EARLIER}, {"created_before": LATER}])
def test_a_run_without_a_date_matches_no_date(filters: dict[str, Any]) -> None:
    undated = run().model_copy(update={"created_at": None})

    assert admits(run(), **filters)
    assert not admits(undated, **filters)
    assert admits(undated)


def test_a_date_without_a_zone_is_in_utc() -> None:
    assert admits(run(), created_after=CREATED.replace(tzinfo=None))
    assert not admits(run(), created_after=LATER.replace(tzinfo=None))


@pytest.mark.parametrize(("created", "past"), [(LATER, False), (CREATED, False), (EARLIER, True), (None, False)])
def test_runs_created_at_the_earliest_time_do_not_end_the_search(created: datetime | None, past: bool) -> None:
    assert Filters.of(created_after=CREATED).past(created) is past


@pytest.mark.parametrize(
    ("filters", "reads_watches"),
    [({"status": ["queued"]}, True), ({"repo": "shop"}, True), ({"text": "cart"}, True), ({"tag": "nightly"}, False)],
)
def test_watches_are_read_only_for_the_conditions_that_need_them(filters: dict[str, Any], reads_watches: bool) -> None:
    assert Filters.of(**filters).needs_record is reads_watches


def test_a_filter_by_source_alone_does_not_read_runs_one_by_one() -> None:
    assert not Filters.of(source_type="slack").scan
    assert Filters.of(source_type="slack", tag="nightly").scan
