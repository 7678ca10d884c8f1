"""The console in a browser, watched for whatever must not happen there."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

IN_A_BROWSER = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install chromium to test the console"),
    # Playwright's own event loop and pipes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""The marks of tests that use the browser."""

_QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server")
_SILENT = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser of the machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*_QUIET, *_SILENT])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Console:
    """The console of one deployment in one page.

    Attributes:
        page: The page.
        api_url: The address of the deployment.
        faults: Errors of the page, and reports of its Content-Security-Policy.
        elsewhere: Requests to other addresses than the deployment's.
        expected: Patterns of faults that a test provokes.
    """

    page: Page
    api_url: str
    faults: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def sign_in(self, token: str = DEMO_TOKEN) -> None:
        """Open the console with a token in its address."""
        # An address that differs only behind the # would not be loaded again.
        self.page.goto("about:blank")
        self.page.goto(f"{self.api_url}/console#token={token}")

    def open(self, view: str) -> None:
        """Open a view. You are signed in."""
        self.page.goto(f"{self.api_url}/console#/{view}")

    def violations(self) -> list[Any]:
        """Return what axe finds wrong with the page as it is now."""
        found = Axe().run(self.page).response["violations"]
        return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]

    def check(self) -> None:
        """Fail if anything happened that must not."""
        unexpected = [fault for fault in self.faults if not any(re.search(each, fault) for each in self.expected)]
        assert not unexpected, unexpected
        assert not self.elsewhere, self.elsewhere


@contextmanager
def console(
    browser: Browser, api_url: str, *, width: int = 1440, scheme: Any = "light", **options: Any
) -> Iterator[Console]:
    """Yield the console in a new page, and check it at the end."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    opened = Console(context.new_page(), api_url)
    page = opened.page

    def note_request(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and not request.url.startswith(api_url):
            opened.elsewhere.append(request.url)

    page.on("request", note_request)
    page.on("pageerror", lambda error: opened.faults.append(f"error: {error}"))
    page.on("console", lambda line: opened.faults.append(line.text) if line.type in ("error", "warning") else None)
    try:
        yield opened
        opened.check()
    finally:
        # What a page still asks for is none of the next test's faults.
        page.unroute_all(behavior="ignoreErrors")
        context.close()


def post(stack: Stack, path: str, body: dict[str, object]) -> dict[str, object]:
    """Send a request of the demo user about their organization, and return its answer."""
    return post_to(stack, f"/v1/organizations/{DEMO_ORG_ID}{path}", body)


def post_to(stack: Stack, path: str, body: dict[str, object]) -> dict[str, object]:
    """Send a request of the demo user, and return its answer."""
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    answer = httpx.post(f"{stack.api_url}{path}", json=body, headers=headers, timeout=35, trust_env=False)
    created: dict[str, object] = answer.raise_for_status().json()
    return created


def start(stack: Stack, prompt: str, **script: object) -> int:
    """Start a run that the fake Codegen plays as a script says, and return its id."""
    run = post(stack, "/agent/run", {"prompt": prompt, "metadata": {"fake": script}})
    return int(str(run["id"]))


def finish(stack: Stack, run: int) -> None:
    """Let a run end that the fake Codegen would never end."""
    assert stack.fake
    stack.fake.finish(run)


def token_of(stack: Stack, role: str) -> str:
    """Create an API token of the deployment with a role, and return its secret."""
    return str(post_to(stack, "/v1/users/me/api-tokens", {"name": f"Console of a {role}", "role": role})["token"])
