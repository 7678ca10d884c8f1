"""The console of a viewer in a real browser: everything to look at, and nothing that the API would refuse."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Request, expect

from local.fake_codegen import DEMO_ORG_ID
from local.fake_codegen.plans import NEVER
from local.stack import Stack
from tests.support.console import IN_A_BROWSER, console, post, start, token_of

pytestmark = IN_A_BROWSER

WHY_NOT = "You are a viewer here: you can look, but not start or change anything."
# The views in which a member may act, with what is there when all of their controls are.
ACTING = {
    "runs": ".run",
    "runs/{run}?tab=log": ".log .checkpoint",
    "runs/{run}?tab=answer": ".checkpoints li",
    "runs/{live}?tab=log": ".log .mark",
    "multi-runs/{multi_run}?tab=candidates": ".candidate .excerpt",
    "multi-runs/{multi_run}?tab=answer": ".state",
    "multi-runs/{multi_run}?tab=compare": ".compare",
    "new?candidates=3": "h1",
    "chat": ".conversation > *",
    "chat/{run}": ".messages .agent",
    "agents": ".card",
    "agents/{agent}": ".prompt",
    "stars": ".state, .run",
}
READING = {
    "usage": ".plot",
    "limits": ".bar",
    "settings/members": "table",
    "settings/endpoints": ".endpoints, .state",
    "settings/organization": ".facts",
}
# Click what can be clicked.
_CLICK = "document.querySelectorAll('main button').forEach(each => each.checkVisibility() && each.click())"


@pytest.fixture(scope="module")
def ids(live: Stack) -> dict[str, object]:
    """A run that has ended, one at work, a multi-run to pick from, and an agent."""
    prompt = "Write a tanka [[fake seconds=1 steps=2]]"
    made = {
        "run": start(live, "Describe an owl", seconds=5, steps=4),
        "live": start(live, "Watch the owl", ending=NEVER),
        "multi_run": post(live, "/multi-runs", {"prompt": prompt, "concurrency": 2, "strategy": "none"})["id"],
        "agent": "owl-keeper",
    }
    post(live, "/agents", {"id": "owl-keeper", "name": "Owl keeper", "system_prompt": "Feed it."})
    return made


def test_a_viewer_finds_nothing_that_the_api_refuses(live: Stack, ids: dict[str, object], browser: Browser) -> None:
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method != "GET" and not request.url.endswith("/console/markdown"):
            sent.append(f"{request.method} {request.url}")

    with console(browser, live.api_url, permissions=["clipboard-write"]) as opened:
        page = opened.page
        opened.sign_in(token_of(live, "viewer"))
        page.locator(".run").first.wait_for()
        page.on("request", note)
        for view, ready in (ACTING | READING).items():
            opened.open(f"{DEMO_ORG_ID}/{view.format(**ids)}")
            page.locator(f"main {ready}").first.wait_for()
            told = page.locator(".viewer", has_text=WHY_NOT)
            expect(told).to_have_count(1 if view in ACTING else 0)
            page.evaluate(_CLICK)
            expect(page.get_by_role("dialog"), view).to_have_count(0)
            expect(page.locator("main form:visible, main textarea:visible"), view).to_have_count(0)
        expect(page.get_by_role("link", name=re.compile("New run|Start"))).to_have_count(0)

        page.keyboard.press("n")
        expect(page).to_have_url(re.compile("settings/organization$"))
        opened.expected.append("403")
        opened.open(f"{DEMO_ORG_ID}/settings/audit")
        expect(page.get_by_role("alert")).to_contain_text("Not allowed")
        expect(page.locator("main form")).to_have_count(0)
        opened.open(f"{DEMO_ORG_ID}/settings/tokens")
        expect(page.get_by_role("button", name="Revoke")).to_have_count(1)
        expect(page.get_by_role("button", name="New token")).to_have_count(0)
    assert sent == []


def test_an_empty_deployment_asks_a_viewer_to_start_nothing(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        page = opened.page
        empty = {"items": [], "total": 0, "total_exact": True, "has_more": False, "next_cursor": None}
        page.route(re.compile(r"/run-cards\?|/agents\?"), lambda route: route.fulfill(json=empty))
        opened.sign_in(token_of(live, "viewer"))
        expect(page.get_by_text("No runs yet")).to_be_visible()
        expect(page.locator("main").get_by_role("link")).to_have_count(0)
        for view in ("agents", "chat"):
            opened.open(f"{DEMO_ORG_ID}/{view}")
            expect(page.get_by_text("No agents yet")).to_be_visible()
            expect(page.locator("main a.button, main button")).to_have_count(0)


def test_a_member_may_act(live: Stack, ids: dict[str, object], browser: Browser) -> None:
    """The controls that a viewer does not see are there."""
    expected = {
        "runs/{run}?tab=answer": ["Fork"],
        "runs/{live}?tab=log": ["Cancel"],
        "multi-runs/{multi_run}?tab=candidates": ["Pick"],
        "chat": ["Send"],
        "agents": ["New agent"],
        "agents/{agent}": ["Edit", "Delete"],
    }
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.sign_in(token_of(live, "member"))
        page.locator(".run").first.wait_for()
        for view, names in expected.items():
            opened.open(f"{DEMO_ORG_ID}/{view.format(**ids)}")
            for name in names:
                expect(page.get_by_role("button", name=name, exact=True).first).to_be_visible()
            expect(page.get_by_text(WHY_NOT)).to_have_count(0)
        opened.open(f"{DEMO_ORG_ID}/runs")
        expect(page.get_by_role("button", name=f"Star run {ids['run']}")).to_be_visible()
        page.keyboard.press("n")
        expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
