"""Make the pictures of the console: `python -m docs.console.screenshots`, with chromium installed.

The data are those of a small team on the local stack, the same each time. Look at every picture before you commit it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx

from docs.console.palette import with_palette
from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, DEMO_TOKEN, DEMO_USER_ID, FakeCodegen, Script
from local.fake_codegen.schemas import ApiAgentRunSourceType as Source
from local.stack import Stack
from tests.support.console import Console, chromium, console

FOLDER = Path(__file__).parent
HOME = f"/v1/organizations/{DEMO_ORG_ID}"
WIDTH, HEIGHT = 1440, 860
PATIENCE = timedelta(minutes=3).total_seconds()

# The test message, the ends of six runs with the synthesis, and the end of the multi-run.
MESSAGES = 8

BUDGETS = {
    "organization": {"runs_per_day": 200, "concurrent_runs": 40},
    "caller": {"runs_per_day": 20, "candidates_per_multi_run": 8},
}

# Prompt, hours ago, source, user, repository, ending and duration in minutes.
PAST: list[tuple[str, float, Source, int, int, str, float]] = [
    ("Upgrade the payment client to version 4", 2, Source.API, DEMO_USER_ID, DEMO_REPO_ID, "COMPLETE", 9),
    ("Why does checkout fail for orders over 1,000?", 5, Source.SLACK, 792, DEMO_REPO_ID, "COMPLETE", 4),
    ("Fix the flaky test of the search page", 22, Source.LINEAR, 791, 457, "FAILED", 14),
    ("Write release notes for the shop", 26, Source.API, DEMO_USER_ID, DEMO_REPO_ID, "COMPLETE", 3),
    ("Fix the failing check on the login form", 29, Source.GITHUB_CHECK_SUITE, 791, 457, "COMPLETE", 11),
    ("Remove the unused feature flags", 47, Source.API, DEMO_USER_ID, DEMO_REPO_ID, "COMPLETE", 26),
    ("Translate the footer into Danish", 51, Source.SLACK, 792, 457, "COMPLETE", 2),
    ("Migrate the cart to the new price service", 75, Source.LINEAR, 791, DEMO_REPO_ID, "MAX_ITERATIONS_REACHED", 48),
    ("Add an index for the order history", 98, Source.API, DEMO_USER_ID, DEMO_REPO_ID, "COMPLETE", 7),
    ("Answer the review of the image loader", 101, Source.GITHUB, 791, 457, "COMPLETE", 5),
    ("Explain the cache of the catalogue", 124, Source.SLACK, 792, DEMO_REPO_ID, "COMPLETE", 1),
    ("Create a dashboard for slow queries", 147, Source.API, DEMO_USER_ID, DEMO_REPO_ID, "TIMEOUT", 60),
]

# File, address in the organization, and what is there when the view is complete.
VIEWS = [
    ("runs", "runs", ".run"),
    ("run", "runs/{run}?tab=log", ".log .entry.of-answer"),
    ("candidates", "multi-runs/{multi_run}?tab=candidates", ".candidate .lines li"),
    ("compare", "multi-runs/{multi_run}?tab=compare", ".compare"),
    ("answer", "multi-runs/{multi_run}?tab=answer", ".blocks li"),
    ("new", "new?candidates=3", ".several"),
    ("chat", "chat/{chat}", ".messages .agent ol"),
    ("agent", "agents/reviewer", ".diff"),
    ("stars", "stars", ".note"),
    ("usage", "usage?days=7", ".plot"),
    ("limits", "limits", ".bar"),
    ("endpoints", "settings/endpoints", ".endpoints"),
    ("doorbell", "settings/webhook", ".pair"),
    ("audit", "settings/audit", "table"),
]


class Receiver(BaseHTTPRequestHandler):
    """A service that takes every message."""

    def do_POST(self) -> None:
        """Answer 204."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


class Team:
    """A client of the stack, which does what a team would have done."""

    def __init__(self, stack: Stack) -> None:
        headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
        self._http = httpx.Client(base_url=f"{stack.api_url}{HOME}", headers=headers, timeout=35, trust_env=False)

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request, and return its answer."""
        return self._http.request(method, path, json=body).raise_for_status().json()

    def ended(self, path: str) -> bool:
        """Return whether a run or a multi-run has ended."""
        return bool(self.send("GET", path)["status"] == "completed")

    def delivered(self, endpoint: str) -> bool:
        """Return whether an endpoint has got the messages about all runs."""
        found = self.send("GET", f"{endpoint}/deliveries")["items"]
        return len(found) == MESSAGES and all(each["status"] == "delivered" for each in found)


def wait(done: Callable[[str], bool], path: str) -> None:
    """Wait until something is done."""
    give_up = time.monotonic() + PATIENCE
    while not done(path):
        if time.monotonic() > give_up:
            raise TimeoutError(path)
        time.sleep(0.5)


def past(fake: FakeCodegen) -> None:
    """Let the fake know the runs of the last week, the oldest first."""
    organization = fake.organizations[DEMO_ORG_ID]
    for prompt, hours, source, user, repo, ending, minutes in reversed(PAST):
        script = Script(ending=ending, seconds=minutes * 60 / fake.pace)
        options = {"user_id": user, "source_type": source, "repo_id": repo, "script": script}
        fake.start(organization, prompt, ago=hours * 3600, **options)


def present(team: Team, hook: str) -> dict[str, Any]:
    """Let the team work, and return the ids for the addresses of the views."""
    team.send("PUT", "/budgets", BUDGETS)
    first = {
        "id": "reviewer",
        "name": "Reviewer",
        "description": "Reads changes before people do",
        "tags": ["quality"],
        "repo_id": DEMO_REPO_ID,
        "model": "claude-sonnet",
        "system_prompt": "You review changes of the shop.\nSay first what is wrong, then what is good.\nBe brief.",
    }
    team.send("POST", "/agents", first)
    later = "You review changes of the shop.\nSay first what is wrong, then what is good.\nName the file and the line."
    team.send("PATCH", "/agents/reviewer", {"system_prompt": later})
    endpoint = f"/webhook-endpoints/{team.send('POST', '/webhook-endpoints', {'url': hook})['id']}"
    team.send("POST", f"{endpoint}/deliveries", {})
    many = {"prompt": "Find a better way to test the cache of the catalogue", "concurrency": 3, "repo_id": DEMO_REPO_ID}
    multi_run = team.send("POST", "/multi-runs", many)["id"]
    said = team.send("POST", "/chat", {"agent_id": "reviewer", "message": "What should I look at in the new cart?"})
    run = team.send("POST", "/agent/run", {"prompt": "Add a test for the discount code", "repo_id": DEMO_REPO_ID})["id"]
    team.send(
        "POST", "/starred-runs", {"agent_run_id": run, "starred": True, "note": "Good tests. Show them on Friday."}
    )
    for path in (f"/multi-runs/{multi_run}", f"/run-cards/{said['run_id']}", f"/run-cards/{run}"):
        wait(team.ended, path)
    wait(team.delivered, endpoint)
    team.send("PATCH", endpoint, {"url": "https://hooks.example.com/runs", "description": "Build room"})
    at_work = {"prompt": "Move the images to the new bucket", "repo_id": 457, "metadata": {"fake": {"seconds": 9000}}}
    team.send("POST", "/agent/run", at_work)
    # No run ends from now on, so nothing is forwarded.
    team.send("POST", "/webhooks/agent-run", {"url": "https://hooks.example.com/codegen"})
    team.send("PUT", "/doorbell", {"forward": True})
    return {"run": run, "multi_run": multi_run, "chat": said["run_id"]}


def take(opened: Console, ids: dict[str, Any]) -> None:
    """Make a picture of each view."""
    page = opened.page
    opened.sign_in()
    page.locator(".run").first.wait_for()
    for name, address, ready in VIEWS:
        page.goto("about:blank")
        opened.open(f"{DEMO_ORG_ID}/{address.format(**ids)}")
        page.locator(ready).first.wait_for()
        if name == "endpoints":
            page.get_by_text("Deliveries").first.click()
            page.locator(".deliveries td").first.wait_for()
        page.wait_for_load_state("networkidle")
        (FOLDER / f"{name}.png").write_bytes(with_palette(page.screenshot(animations="disabled")))


def main() -> None:
    """Make all pictures."""
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=receiver.serve_forever, daemon=True).start()
    fake = FakeCodegen(pace=0.5, limits={})
    fake.runs.clear()
    past(fake)
    with Stack(fake=fake, parameters={"LiveStreaming": "true"}) as stack, chromium() as browser:
        ids = present(Team(stack), f"http://127.0.0.1:{receiver.server_port}/runs")
        with console(browser, stack.api_url, width=WIDTH) as opened:
            opened.page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            take(opened, ids)
    receiver.shutdown()


if __name__ == "__main__":
    main()
