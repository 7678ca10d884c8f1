"""What every view of the console owes a person: the focus, a sign of life while it loads, names, and words."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from local.fake_codegen import DEMO_ORG_ID
from local.fake_codegen.plans import NEVER
from local.stack import Stack
from tests.support.console import IN_A_BROWSER, console, post, start

pytestmark = IN_A_BROWSER

HOME = rf"/v1/organizations/{DEMO_ORG_ID}"
expect.set_options(timeout=20_000)

_END_THE_DELAY = """
  document.getAnimations().filter((each) => each.animationName === "late").forEach((each) => each.finish())
"""


def changed(change: Callable[[Any], None]) -> Callable[[Route], None]:
    """Return a handler that changes what the API answers."""

    def give(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        change(found)
        route.fulfill(response=answer, json=found)

    return give


def run_cards(prompt: str) -> dict[str, Any]:
    card = {
        "id": 1,
        "key": "1",
        "status": "running",
        "health": "ok",
        "prompt": prompt,
        "created_at": "2026-11-27T09:00:00Z",
        "updated_at": "2026-11-27T09:00:00Z",
        "duration_seconds": None,
        "pull_requests": [],
        "repo_name": prompt,
    }
    return {"items": [card], "total": 1, "total_exact": True, "has_more": False}


def test_the_focus_stays_in_a_list_that_is_drawn_anew(live: Stack, browser: Browser) -> None:
    repositories = iter(["before", "after"])
    with console(browser, live.api_url) as opened:
        page = opened.page
        page.clock.install(time="2026-11-27T10:00:00Z")

        def give(route: Route) -> None:
            answer = run_cards("Count the sheep")
            answer["items"][0]["repo_name"] = next(repositories, "after")
            route.fulfill(json=answer)

        page.route(re.compile(r"/run-cards\?"), give)
        opened.sign_in()
        link = page.get_by_role("link", name="Count the sheep")
        link.focus()
        expect(page.locator(".run")).to_contain_text("before")
        page.clock.fast_forward(5000)
        expect(page.locator(".run")).to_contain_text("after")
        expect(link).to_be_focused()


def test_the_focus_stays_on_an_action_of_a_multi_run_at_work(live: Stack, browser: Browser) -> None:
    prompt = f"Name the winds [[fake ending={NEVER} seconds=600]]"
    multi_run = str(post(live, "/multi-runs", {"prompt": prompt, "concurrency": 2})["id"])
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.sign_in()
        page.locator(".run").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/multi-runs/{multi_run}?tab=candidates")
        expect(page.locator(".sentence")).to_contain_text("candidates at work")
        pause = page.get_by_role("button", name="Pause")
        pause.focus()
        read = page.evaluate_handle("document.activeElement")
        page.wait_for_function("button => !button.isConnected", arg=read)
        expect(pause).to_be_focused()

        page.get_by_role("button", name="Cancel", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button")).to_have_text(["Keep it", "Cancel the multi-run"])
        dialog.get_by_role("button", name="Cancel the multi-run").click()
        expect(page.locator(".sentence")).not_to_contain_text("at work", timeout=90_000)


def test_the_focus_follows_to_the_next_view(live: Stack, browser: Browser) -> None:
    run_id = start(live, "Follow the heron", seconds=1, steps=2)
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.sign_in()
        page.get_by_role("link", name="Follow the heron").first.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(rf"/runs/{run_id}$"))
        expect(page.locator("#main")).to_be_focused()
        prompt = page.get_by_role("link", name="Prompt", exact=True)
        prompt.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".prompts")).to_be_visible()
        expect(prompt).to_be_focused()


def test_a_view_that_loads_slowly_is_never_empty_and_says_why(live: Stack, browser: Browser) -> None:
    held: list[Route] = []
    with console(browser, live.api_url) as opened:
        page = opened.page
        page.route(re.compile(rf"{HOME}$"), lambda route: held.append(route))
        with page.expect_request(re.compile(rf"{HOME}$")):
            opened.sign_in()
        slow = page.get_by_text("Still loading.")
        expect(page.locator("main .skeleton > div").first).to_be_visible()
        expect(slow).to_be_hidden()
        page.evaluate(_END_THE_DELAY)
        expect(slow).to_be_visible()
        held.pop().continue_()
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        expect(slow).to_have_count(0)


def test_a_view_loads_by_itself_when_the_connection_is_back(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.expected = ["ERR_INTERNET_DISCONNECTED"]
        opened.sign_in()
        page.locator(".run, .state").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/settings/members")
        expect(page.get_by_role("table")).to_be_visible()
        page.context.set_offline(True)
        page.get_by_role("link", name="API tokens").click()
        expect(page.get_by_role("alert")).to_contain_text("No connection")
        page.context.set_offline(False)
        expect(page.get_by_role("button", name="New token")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_an_address_without_a_view_leads_to_the_runs(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.sign_in()
        page.locator(".run, .state").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/nowhere")
        expect(page.get_by_role("alert")).to_contain_text("The console has no such page.")
        page.get_by_role("link", name="Open the runs").click()
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def test_the_table_of_runs_names_its_columns_and_the_cards_do_not(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        page = opened.page
        page.route(re.compile(r"/run-cards\?"), lambda route: route.fulfill(json=run_cards("Count the cards")))
        opened.sign_in()
        columns = page.locator(".columns-head span")
        expect(columns).to_have_text(["Status", "Run", "Started", "Duration"])
        for name, column in ((".status", 0), (".what", 1)):
            assert left(page.locator(f".run > {name}")) == left(columns.nth(column))
        page.get_by_role("button", name="Cards").click()
        expect(columns.first).to_be_hidden()


def left(element: Locator) -> float:
    box = element.bounding_box()
    assert box
    return round(box["x"])


def test_people_and_fields_have_names(live: Stack, browser: Browser) -> None:
    post(live, "/agents", {"id": "crane-keeper", "name": "Crane keeper", "system_prompt": "Feed it."})
    act = {
        "act": "api_token.create",
        "target": "tok-1",
        "details": {"role": "member", "limits": {"runs_per_day": 4}, "forward": True},
        "actor": "user:789",
        "token_id": None,
        "outcome": "refused",
        "status": 429,
        "code": "limit_used_up",
        "at": "2026-11-27T10:00:00Z",
        "sequence": 2,
        "attempt": 1,
    }
    with console(browser, live.api_url) as opened:
        page = opened.page
        page.route(
            re.compile(r"/audit\?"),
            lambda route: route.fulfill(json={"items": [act], "has_more": False, "next_cursor": None}),
        )
        opened.sign_in()
        page.locator(".run, .state").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/settings/audit")
        row = page.get_by_role("row", name="API token: create")
        expect(row).to_contain_text("role: member, limits: (runs per day: 4), forward: yes")
        expect(row).to_contain_text("Ada Example")
        expect(row).to_contain_text("Limit used up (429)")

        opened.open(f"{DEMO_ORG_ID}/agents/crane-keeper")
        expect(page.locator(".facts")).to_contain_text("Ada Example")
        page.get_by_role("button", name="Edit").click()
        page.get_by_role("dialog").get_by_label("Instructions").fill("Feed it twice.")
        page.get_by_role("button", name="Save as a new version").click()
        changes = page.get_by_role("region", name="Changes")
        expect(changes.get_by_role("heading", level=3)).to_have_text("Instructions")
        expect(page.locator(".versions li").first).to_contain_text("Ada Example")


def test_an_agent_gets_a_repository_and_a_model_by_their_names(live: Stack, browser: Browser) -> None:
    post(live, "/agents", {"id": "shop-keeper", "name": "Shop keeper", "model": "retired-1", "repo_id": 987})
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.sign_in()
        page.locator(".run, .state").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/agents/shop-keeper")
        page.get_by_role("button", name="Edit").click()
        dialog = page.get_by_role("dialog")
        assert "example-works/attic" not in dialog.get_by_label("Repository").inner_text(), "it is archived"
        # What the agent has stays, even if it is no longer offered.
        expect(dialog.get_by_label("Repository")).to_have_value("987")
        expect(dialog.get_by_label("Model")).to_have_value("retired-1")
        dialog.get_by_label("Repository").select_option("example-works/shop")
        dialog.get_by_label("Model").select_option("Claude Sonnet")
        dialog.get_by_role("button", name="Save as a new version").click()
        expect(page.locator(".facts")).to_contain_text("example-works/shop")
        expect(page.locator(".facts")).to_contain_text("claude-sonnet")
        changes = page.get_by_role("region", name="Changes")
        expect(changes.get_by_role("heading", level=3)).to_have_text(["Model", "Repository"])
        expect(changes.locator(".added")).to_have_text(["+claude-sonnet", "+example-works/shop"])


def test_what_is_paused_says_what_goes_on(live: Stack, browser: Browser) -> None:
    prompt = f"Count the waves [[fake ending={NEVER} seconds=600]]"
    run_id = start(live, "Count the tides", ending=NEVER)
    multi_run = str(post(live, "/multi-runs", {"prompt": prompt, "concurrency": 2})["id"])
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.sign_in()
        page.locator(".run").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/runs/{run_id}?tab=log")
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("dialog").get_by_role("button", name="Pause").click()
        expect(page.locator(".sentence")).to_contain_text(
            "Paused: nothing more is sent to it. Work that has begun continues."
        )

        opened.open(f"{DEMO_ORG_ID}/multi-runs/{multi_run}?tab=candidates")
        pause = page.get_by_role("button", name="Pause")
        expect(pause).to_have_attribute("title", "Launch nothing more until it is resumed")
        pause.click()
        expect(page.locator(".sentence")).to_contain_text("Paused: nothing more is launched until it is resumed.")
        expect(page.get_by_role("button", name="Resume")).to_have_attribute("title", "Launch what waits")


def test_a_limit_says_how_many_calls_are_left(live: Stack, browser: Browser) -> None:
    def use_up(found: dict[str, Any]) -> None:
        for name, remaining in (("create", 0), ("logs", 15)):
            limit = next(each for each in found["caller"] if each["name"] == name)
            limit |= {"calls": 60, "remaining": remaining, "window_seconds": 60}

    with console(browser, live.api_url) as opened:
        page = opened.page
        page.route(re.compile(r"/rate-limits$"), changed(use_up))
        opened.sign_in()
        page.locator(".run, .state").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/limits")
        limits = page.get_by_role("figure").filter(has_text="Your token")
        for label, words, share in (("New runs", "0 of 60 left", 0.0), ("Logs", "15 of 60 left", 0.25)):
            bar = limits.locator(".bar", has=page.get_by_text(label, exact=True))
            expect(bar).to_contain_text(words)
            expect(bar).to_contain_text("per minute")
            # How much of the bar is filled is how much is left.
            assert bar.locator(".fill").evaluate(_SHARE) == pytest.approx(share, abs=0.02)
        page.unroute_all(behavior="wait")


_SHARE = "fill => fill.getBoundingClientRect().width / fill.parentElement.getBoundingClientRect().width"


def test_every_view_fits_a_narrow_screen(live: Stack, browser: Browser) -> None:
    run_id = start(live, "Fold the map of the whole coast", seconds=1, steps=2)
    multi_run = post(live, "/multi-runs", {"prompt": "Fold it", "concurrency": 2, "strategy": "none"})["id"]
    name = "Folder of maps, charts and plans " * 3
    post(live, "/agents", {"id": "map-folder", "name": name, "system_prompt": "Fold " * 40, "repo_id": 456})
    views = {
        f"runs/{run_id}?tab=log": ".log .entry",
        f"multi-runs/{multi_run}?tab=candidates": ".candidate",
        f"multi-runs/{multi_run}?tab=compare": ".compare, .state",
        "new?candidates=3": ".several",
        "chat": ".composer",
        "agents": ".card",
        "agents/map-folder": ".prompt",
        "stars": ".state, .run",
        "usage": ".plot",
        "limits": ".bar",
        "settings/tokens": "table, .state",
        "settings/members": "table",
        "settings/endpoints": ".endpoints, .state",
        "settings/webhook": ".pair, .state",
        "settings/organization": ".facts",
        "settings/audit": "table",
    }
    with console(browser, live.api_url, width=360) as opened:
        page = opened.page
        opened.sign_in()
        page.locator(".run").first.wait_for()
        beyond = {"runs": page.evaluate(_BEYOND)}
        for view, ready in views.items():
            opened.open(f"{DEMO_ORG_ID}/{view}")
            page.locator(f"main {ready}").first.wait_for()
            beyond[view] = page.evaluate(_BEYOND)
    assert {view: width for view, width in beyond.items() if width > 0} == {}


# How far what can be used reaches into the margin of the page, except where it scrolls.
_BEYOND = """() => {
  const main = document.querySelector("main");
  const margin = main.getBoundingClientRect().right - parseFloat(getComputedStyle(main).paddingRight);
  return Math.max(...[...main.querySelectorAll("a, button, input, select, textarea")]
    .filter((each) => !each.closest(".scrolls, .tabs, pre") && each.checkVisibility())
    .map((each) => Math.floor(each.getBoundingClientRect().right - margin)));
}"""


def test_a_failure_is_told_in_words_and_not_as_an_object(live: Stack, browser: Browser) -> None:
    run_id = start(live, "Solve the maze", seconds=1, steps=2, ending="FAILED")
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.sign_in()
        page.locator(".run").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/runs/{run_id}?tab=log")
        expect(page.locator(".log .entry.failed .toggle")).to_contain_text("The run ended with FAILED.", timeout=60_000)


def test_too_few_answers_and_the_verdict_of_a_judge_are_told_in_words(live: Stack, browser: Browser) -> None:
    """The multi-run is given as it is after its judges, and as it is when it has failed."""
    multi_run = str(post(live, "/multi-runs", {"prompt": "Draw a map", "concurrency": 2, "strategy": "none"})["id"])
    given: dict[str, Any] = {}

    def judged(found: dict[str, Any]) -> None:
        judge = {
            **found["candidates"][0],
            "number": 1,
            "status": "completed",
            "result": '{"ranking": ["A", "B"]}',
            "ranking": [1, 0],
            "reasons": {"1": "It has a scale."},
            "none_acceptable": False,
        }
        ranked = [{"candidate": 1, "rank": 1, "reasons": []}, {"candidate": 0, "rank": 2, "reasons": []}]
        found["judging"] = {"judges": [judge], "by_judges": True, "ranking": ranked} | given
        if given:
            found |= {
                "status": "failed",
                "reason": "Usable candidates: 0, required: 2. Candidate 1: It got lost.",
                "quorum": 2,
            }
            found["counts"]["usable"] = 0

    with console(browser, live.api_url) as opened:
        page = opened.page
        page.route(re.compile(rf"/multi-runs/{multi_run}$"), changed(judged))
        opened.sign_in()
        page.locator(".run").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/multi-runs/{multi_run}?tab=candidates")
        verdict = page.get_by_role("article", name="Judge 1").locator(".verdict li")
        expect(verdict).to_have_text(["Candidate 2It has a scale.", "Candidate 1"])
        expect(page.get_by_role("article", name="Judge 1")).not_to_contain_text("{")
        expect(page.get_by_role("article", name="Candidate 2")).to_contain_text("Rank 1")

        given["by_judges"] = False
        page.reload()
        expect(page.locator(".sentence")).to_contain_text("Too few usable answers: 0 of 2 needed.")
        expect(page.get_by_role("article", name="Candidate 2")).not_to_contain_text("Rank")
        page.unroute_all(behavior="wait")


@pytest.mark.parametrize("days", [7, 14, 30])
def test_the_days_of_a_plot_fit_and_do_not_overlap(days: int, live: Stack, browser: Browser) -> None:
    start(live, "Fill the plot", seconds=1, steps=1)
    with console(browser, live.api_url, width=360) as opened:
        page = opened.page
        opened.sign_in()
        page.locator(".run").first.wait_for()
        opened.open(f"{DEMO_ORG_ID}/usage?days={days}")
        page.locator(".axis-labels").wait_for()
        spans = page.evaluate(_SPANS)
        assert len(spans) > 2
        assert all(right + 4 <= left for (_, right), (left, _) in pairwise(spans))
        assert spans[-1][1] <= 360, "the plot is as wide as the page"


# The left and right end of each day that is seen under the plot.
_SPANS = """() => {
  const seen = (each) => each.textContent && each.checkVisibility({ visibilityProperty: true });
  return [...document.querySelectorAll(".axis-labels span")].filter(seen).map((each) => {
    const range = document.createRange();
    range.selectNodeContents(each);
    const { left, right } = range.getBoundingClientRect();
    return [left, right];
  });
}"""
