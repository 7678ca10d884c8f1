"""The console in a real browser, on both local stacks: one streams live, the other has pages and a base path."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, expect

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack
from tests.support.console import CHROMIUM, chromium, console

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install chromium to test the console"),
    # Playwright's own event loop and pipes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HOME = f"/v1/organizations/{DEMO_ORG_ID}"
expect.set_options(timeout=20_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def either(kind: str, request: pytest.FixtureRequest) -> Stack:
    """One of the two stacks, by the name of its fixture."""
    found: Stack = request.getfixturevalue(kind)
    return found


def post(stack: Stack, path: str, body: dict[str, object]) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    answer = httpx.post(f"{stack.api_url}{HOME}{path}", json=body, headers=headers, timeout=35, trust_env=False)
    created: dict[str, object] = answer.raise_for_status().json()
    return created


def start(stack: Stack, prompt: str, **script: object) -> int:
    run = post(stack, "/agent/run", {"prompt": prompt, "metadata": {"fake": script}})
    return int(str(run["id"]))


@pytest.mark.parametrize("kind", ["live", "paged"])
def test_a_person_signs_in_watches_a_run_and_signs_out(kind: str, either: Stack, browser: Browser) -> None:
    with console(browser, either.api_url) as opened:
        page = opened.page
        page.goto(f"{either.api_url}/")
        expect(page).to_have_url(f"{either.api_url}/console")
        page.get_by_label("Token").fill(DEMO_TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()

        run_id = start(either, "Explain how a lighthouse works", seconds=200, steps=30)
        page.get_by_role("link", name="Explain how a lighthouse works").first.click()
        expect(page).to_have_url(re.compile(rf"#/{DEMO_ORG_ID}/runs/{run_id}$"))
        expect(page.locator(".sentence .status-completed")).to_be_visible(timeout=60_000)
        page.get_by_role("link", name="Log", exact=True).click()
        expect(page.locator(".log .entry.of-answer")).to_be_visible()
        positions = [int(each.get_attribute("data-position") or -1) for each in page.locator(".log .entry").all()]
        assert positions == list(range(len(positions)))
        assert len(positions) > 30
        page.get_by_role("link", name="Answer", exact=True).click()
        expect(page.locator(".markdown h4, .markdown h3").first).to_be_visible()

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0


def test_a_token_in_the_address_leaves_it_at_once(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        opened.sign_in()
        expect(opened.page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()

        assert DEMO_TOKEN not in opened.page.url
        opened.page.reload()
        expect(opened.page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def test_a_refused_token_is_explained(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        opened.expected = ["401"]
        opened.sign_in("obviously-wrong")

        expect(opened.page.get_by_role("alert")).to_contain_text("Send a valid Codegen token")
        expect(opened.page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(width: int, scheme: str, live: Stack, browser: Browser) -> None:
    run_id = start(live, "Write a poem", seconds=5, steps=5)
    multi_run = post(live, "/multi-runs", {"prompt": "Write a haiku", "concurrency": 2})["id"]
    views = {
        f"runs/{run_id}?tab=log": ".log > li",
        f"runs/{run_id}?tab=answer": ".markdown ol",
        f"runs/{run_id}?tab=prompt": ".prompt",
        f"multi-runs/{multi_run}?tab=candidates": ".candidate .excerpt",
        f"multi-runs/{multi_run}?tab=compare": ".compare",
        f"multi-runs/{multi_run}?tab=answer": ".answer",
        "new?candidates=3": ".several",
        "chat": ".composer",
        "agents": ".card",
        "agents/assistant": ".prompt",
        "stars": ".state, .run",
        "usage": ".plot",
        "limits": ".bar",
        "settings/tokens": "table, .state",
        "settings/members": "table",
        "settings/webhook": ".facts, .state",
        "settings/organization": ".facts",
    }
    post(live, "/agents", {"id": f"assistant-{width}-{scheme}", "name": "Assistant"})
    # Axe is a script of the test, which the policy of the page would refuse.
    with console(browser, live.api_url, width=width, scheme=scheme, bypass_csp=True) as opened:
        page = opened.page
        page.goto(f"{live.api_url}/console")
        page.get_by_role("heading", name="Sign in").wait_for()
        found = {"sign in": opened.violations()}
        opened.sign_in()
        page.locator(".run").first.wait_for()
        found["runs"] = opened.violations()
        for view, ready in views.items():
            opened.open(f"{DEMO_ORG_ID}/{view.replace('assistant', f'assistant-{width}-{scheme}')}")
            page.locator(ready).first.wait_for()
            found[view] = opened.violations()

    assert {view: each for view, each in found.items() if each} == {}
