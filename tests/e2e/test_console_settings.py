"""The console's settings in a real browser: webhooks and the doorbell, for whom they concern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack
from tests.support.console import IN_A_BROWSER, Console, console, token_of
from tests.support.receiver import Receiver

pytestmark = IN_A_BROWSER

HOME = f"/v1/organizations/{DEMO_ORG_ID}"
ELSEWHERE = "http://127.0.0.1:9/hooks"
expect.set_options(timeout=20_000)


@pytest.fixture
def endpoint(admin: httpx.Client) -> Iterator[dict[str, Any]]:
    """A webhook endpoint that takes no message."""
    made: dict[str, Any] = admin.post("webhook-endpoints", json={"url": f"{ELSEWHERE}/endpoint"}).json()
    yield made
    admin.delete(f"webhook-endpoints/{made['id']}").raise_for_status()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver(204)
    yield receiver
    receiver.close()


def settings(opened: Console, part: str, token: str = DEMO_TOKEN) -> Page:
    """Sign in, and open a part of the settings."""
    opened.sign_in(token)
    opened.page.locator(".run, .state").first.wait_for()
    opened.open(f"{DEMO_ORG_ID}/settings/{part}")
    return opened.page


def confirm(page: Page, name: str, *effects: str) -> None:
    """Confirm in the dialog, which names these effects."""
    dialog = page.get_by_role("dialog")
    for effect in effects:
        expect(dialog.locator(".effects")).to_contain_text(effect)
    dialog.get_by_role("button", name=name).click()
    expect(dialog).to_have_count(0)


def parts(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Settings").get_by_role("link")


def test_an_admin_turns_the_doorbell_on_with_forwarding_and_off_again(
    live: Stack, admin: httpx.Client, receiver: Receiver, browser: Browser
) -> None:
    admin.post("webhooks/agent-run", json={"url": receiver.url, "secret": "not-secret"}).raise_for_status()
    host = receiver.url.split("/")[2]
    with console(browser, live.api_url) as opened:
        page = settings(opened, "webhook")
        doorbell = page.get_by_role("region", name="Doorbell")
        webhook = page.get_by_role("region", name="Webhook of Codegen")
        expect(doorbell).to_contain_text(f"Codegen has one place for a webhook, and {host} has it.")
        expect(webhook).to_contain_text(receiver.url)

        doorbell.get_by_role("button", name="Turn on").click()
        page.get_by_label(f"Replace the webhook {host}").check()
        page.get_by_label("Its secret").fill("not-secret")
        assert admin.get("doorbell").json()["state"] == "off"
        confirm(page, "Turn on", f"It no longer calls {host} itself. Each of its calls is forwarded to it instead.")
        expect(doorbell).to_contain_text("On, with forwarding")
        expect(doorbell).to_contain_text(f"Each call is forwarded to {host}, as it came.")
        expect(webhook).to_contain_text("Codegen calls the doorbell of this deployment.")
        assert "v1/doorbell/" not in page.content(), "the address of the doorbell contains a secret"

        webhook.get_by_role("button", name="Test").click()
        assert receiver.take()

        doorbell.get_by_role("button", name="Turn off").click()
        assert admin.get("doorbell").json()["state"] == "forwarding"
        confirm(page, "Turn off", f"{host} is restored at Codegen, which calls it again.")
        expect(doorbell.locator(".status")).to_have_text("Off")
        expect(webhook).to_contain_text(receiver.url)
    assert admin.get("webhooks/agent-run").json()["url"] == receiver.url


def test_the_doorbell_says_why_codegen_does_not_call_it(live: Stack, admin: httpx.Client, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        page = settings(opened, "webhook")
        doorbell = page.get_by_role("region", name="Doorbell")
        expect(doorbell).to_contain_text("Codegen calls nothing when a run ends.")
        expect(page.get_by_role("region", name="Webhook of Codegen")).to_contain_text("No webhook")
        doorbell.get_by_role("button", name="Turn on").click()
        confirm(page, "Turn on", "when a run of this organization ends.")
        expect(doorbell.locator(".status")).to_have_text("On")

        admin.post("webhooks/agent-run", json={"url": ELSEWHERE}).raise_for_status()
        page.reload()
        expect(doorbell).to_contain_text("Somebody has set another webhook at Codegen since: 127.0.0.1:9.")
        doorbell.get_by_role("button", name="Turn off").click()
        confirm(page, "Turn off", "The webhook 127.0.0.1:9 stays at Codegen as it is.")
        expect(doorbell).to_contain_text("127.0.0.1:9 has it.")


def test_a_webhook_is_set_and_deleted_and_the_effects_are_named_before(
    live: Stack, admin: httpx.Client, browser: Browser
) -> None:
    with console(browser, live.api_url) as opened:
        page = settings(opened, "webhook")
        webhook = page.get_by_role("region", name="Webhook of Codegen")
        webhook.get_by_role("button", name="Set one").click()
        page.get_by_label("URL").fill(ELSEWHERE)
        confirm(page, "Save")
        expect(webhook).to_contain_text(ELSEWHERE)
        webhook.get_by_role("button", name="Change").click()
        page.get_by_label("URL").fill(f"{ELSEWHERE}/2")
        confirm(page, "Save", "this replaces 127.0.0.1:9.")
        expect(webhook).to_contain_text(f"{ELSEWHERE}/2")
        webhook.get_by_role("button", name="Delete").click()
        confirm(page, "Delete", "Codegen no longer calls 127.0.0.1:9")
        expect(webhook).to_contain_text("No webhook")


def test_a_webhook_endpoint_is_created_pinged_and_its_messages_sent_again(
    live: Stack, receiver: Receiver, browser: Browser
) -> None:
    with console(browser, live.api_url, permissions=["clipboard-write"]) as opened:
        page = settings(opened, "endpoints")
        page.get_by_role("button", name="New endpoint").click()
        page.get_by_label("URL").fill(receiver.url)
        page.get_by_label("Events").fill("multi_run.picked")
        page.get_by_role("button", name="Create").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("whsec_")
        expect(dialog.get_by_role("button")).to_have_text(["Copy", "Done"])
        dialog.get_by_role("button", name="Copy").click()
        expect(dialog.get_by_text("The secret was copied.")).to_be_visible()
        page.get_by_role("button", name="Done").click()

        mine = page.locator(".endpoints > li", has_text=receiver.url)
        mine.get_by_text("1 type of event").click()
        expect(mine.get_by_text("multi_run.picked")).to_be_visible()
        mine.get_by_text("Deliveries").click()
        expect(mine).to_contain_text("Nothing was sent")
        mine.get_by_role("button", name="Ping").click()
        message = receiver.take()[1]["webhook-id"]
        expect(mine.locator("tbody")).to_contain_text(message)
        mine.get_by_role("button", name="Send again").click()
        assert receiver.take()[1]["webhook-id"] == message
        mine.get_by_role("button", name="Refresh").click()
        expect(mine.locator("tbody")).to_contain_text("HTTP 204")

        mine.get_by_role("button", name="Send all since").click()
        confirm(page, "Send again", "Messages that it has already taken are sent again, too, with the same id.")
        assert receiver.take()[1]["webhook-id"] == message

        mine.get_by_role("button", name="Disable").click()
        confirm(
            page,
            "Disable",
            "Messages about what happens until it is enabled again are recorded, and an admin can send them then.",
        )
        expect(mine.locator(".about")).to_contain_text("Disabled")
        expect(mine.get_by_role("button", name="Ping")).to_have_count(0)
        mine.get_by_role("button", name="Delete").click()
        confirm(page, "Delete", "Its deliveries are no longer shown.")
        expect(mine).to_have_count(0)


def test_the_answer_to_a_message_that_was_not_taken_is_shown_at_once(
    live: Stack, endpoint: dict[str, Any], browser: Browser
) -> None:
    """An endpoint with a fault is unfolded. It is given, because its fault would take three days."""
    answer = {"at": "2026-11-27T10:00:00Z", "status": 500, "error": None, "milliseconds": 1200, "answer": "Out of ink"}
    delivery = {
        "message_id": "msg_123_1_0-1",
        "type": "run.failed",
        "status": "failed",
        "created_at": "2026-11-27T10:00:00Z",
        "next_attempt_at": None,
        "reason": "All tries failed.",
        "attempts": [answer],
    }
    shown = endpoint | {"enabled": False, "disabled_reason": "It took no message for three days."}
    with console(browser, live.api_url) as opened:
        page = opened.page
        page.route("**/webhook-endpoints", lambda route: give(route, [shown]))
        page.route("**/deliveries?limit=20", lambda route: give(route, [delivery]))
        settings(opened, "endpoints")
        expect(page.locator(".endpoints .about")).to_contain_text("Disabled: It took no message for three days.")
        row = page.get_by_role("row", name="msg_123_1_0-1")
        expect(row).to_contain_text("HTTP 500 after 1.2 s")
        expect(row.get_by_text("Out of ink")).to_be_visible()


def give(route: Route, items: list[Any]) -> None:
    route.fulfill(json={"items": items, "has_more": False, "next_cursor": None})


@pytest.mark.parametrize(
    ("role", "shown"),
    [
        ("member", ["API tokens", "Members", "Webhook endpoints", "Webhook of Codegen", "Organization"]),
        ("viewer", ["API tokens", "Members", "Webhook endpoints", "Organization"]),
    ],
)
def test_others_see_what_they_may_and_no_button_that_is_refused(
    role: str, shown: list[str], live: Stack, admin: httpx.Client, endpoint: dict[str, Any], browser: Browser
) -> None:
    admin.put("doorbell", json={}).raise_for_status()
    token = token_of(live, role)
    with console(browser, live.api_url) as opened:
        page = settings(opened, "endpoints", token)
        mine = page.locator(".endpoints > li", has_text=endpoint["url"])
        mine.get_by_text("Deliveries").click()
        expect(mine).to_contain_text("Nothing was sent")
        expect(mine.get_by_role("button")).to_have_text(["Refresh"])
        expect(page.get_by_role("button", name="New endpoint")).to_have_count(0)
        expect(parts(page)).to_have_text(shown)

        opened.open(f"{DEMO_ORG_ID}/settings/members")
        expect(page.get_by_role("row", name="ada@example.com")).to_contain_text("Admin")
        expect(page.locator("main select")).to_have_count(0)
        opened.open(f"{DEMO_ORG_ID}/settings/organization")
        expect(page.locator(".facts")).to_contain_text(role.capitalize())
        opened.open(f"{DEMO_ORG_ID}/usage")
        expect(page.get_by_role("region", name="Budgets")).to_be_visible()
        expect(page.get_by_role("button", name="Set budgets")).to_have_count(0)

        opened.expected = ["403"]
        opened.open(f"{DEMO_ORG_ID}/settings/audit")
        expect(page.get_by_role("alert")).to_contain_text("Not allowed")
        opened.open(f"{DEMO_ORG_ID}/settings/webhook")
        if role == "viewer":
            expect(page.get_by_role("alert")).to_contain_text("Not allowed")
        else:
            expect(page.get_by_role("region", name="Webhook of Codegen")).to_contain_text("An admin can turn it off.")
            expect(page.get_by_role("region", name="Doorbell")).to_have_count(0)


def test_a_role_that_cannot_be_read_hides_nothing(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        opened.expected = ["502"]
        page = opened.page
        page.route(re.compile(rf"{HOME}$"), lambda route: route.fulfill(status=502, json={"detail": "Codegen fails."}))
        settings(opened, "endpoints")
        expect(page.get_by_role("button", name="New endpoint")).to_be_visible()
        expect(parts(page).last).to_have_text("Audit trail")


def test_the_doorbell_waits_for_codegen_and_names_its_failure(
    live: Stack, admin: httpx.Client, browser: Browser
) -> None:
    held: list[Route] = []
    with console(browser, live.api_url) as opened:
        page = opened.page
        opened.expected = ["502"]
        page.route("**/doorbell", lambda route: held.append(route))
        with page.expect_request("**/doorbell"):
            settings(opened, "webhook")
        expect(page.locator("main .skeleton")).to_be_visible()
        held.pop().fulfill(status=502, json={"title": "Bad gateway", "detail": "Codegen fails.", "remedy": "Wait."})
        expect(page.get_by_role("alert")).to_contain_text("Codegen fails.")
        expect(page.get_by_role("alert")).to_contain_text("Wait.")
        with page.expect_request("**/doorbell"):
            page.get_by_role("button", name="Try again").click()
        expect(page.locator("main .skeleton")).to_be_visible()
        held.pop().continue_()
        expect(page.get_by_role("region", name="Doorbell")).to_be_visible()


def test_an_organization_without_endpoints_says_what_they_are_for(live: Stack, browser: Browser) -> None:
    token = token_of(live, "member")
    with console(browser, live.api_url) as opened:
        opened.page.route("**/webhook-endpoints", lambda route: give(route, []))
        page = settings(opened, "endpoints", token)
        expect(page.get_by_text("No webhook endpoints")).to_be_visible()
        expect(page.get_by_text("An admin can create one.")).to_be_visible()
        page = settings(opened, "endpoints")
        page.locator("main").get_by_role("button", name="New endpoint").click()
        expect(page.get_by_role("dialog")).to_be_visible()


def test_badges_count_the_runs_at_work_and_those_that_need_attention(live: Stack, browser: Browser) -> None:
    """The list is given, because a test cannot wait until a run ended more than a day ago."""
    calm = [
        card(1, "completed"),
        card(2, "failed", updated_at="2026-11-25T10:00:00Z"),
        card(3, "cancelled"),
        card(4, "running", health="quiet"),
        card(5, "queued"),
    ]
    pressing = [
        card(6, "failed"),
        card(7, "incomplete"),
        card(8, "timed_out", created_at="2026-11-20T10:00:00Z"),
        card(9, "paused"),
        card(10, "running", health="stalled"),
        card(11, "running", health="unreachable"),
    ]
    shown: list[dict[str, Any]] = []
    more = False
    with console(browser, live.api_url) as opened:
        page = opened.page
        page.clock.install(time="2026-11-27T10:00:00Z")
        page.route(
            re.compile(r"/run-cards\?"),
            lambda route: route.fulfill(
                json={"items": shown, "total": len(shown), "total_exact": not more, "has_more": more}
            ),
        )
        badges = page.get_by_role("link", name="Runs").locator(".badge")
        opened.sign_in()
        expect(page.get_by_text("No runs yet")).to_be_visible()
        expect(badges).to_have_count(0)

        shown += calm
        page.reload()
        expect(badges).to_have_text(["2 2 runs are at work"])

        shown += pressing
        page.reload()
        expect(badges).to_have_text(
            ["4 4 runs are at work", "6 6 runs need attention"],
        )
        expect(badges.nth(1)).to_have_class(re.compile("attention"))

        more = True
        page.reload()
        expect(badges).to_have_text(
            [
                "4+ 4 of the newest 11 runs are at work, and perhaps older ones",
                "6+ 6 of the newest 11 runs need attention, and perhaps older ones",
            ]
        )


def test_ages_and_durations_go_on(live: Stack, browser: Browser) -> None:
    with console(browser, live.api_url) as opened:
        page = opened.page
        page.clock.install(time="2026-11-27T10:00:00Z")
        page.route(re.compile(r"/run-cards\?"), lambda route: give(route, [card(1, "running")]))
        opened.sign_in()
        run = page.locator(".run")
        expect(run.locator(".age")).to_have_text("1 h ago")
        expect(run.locator(".took")).to_have_text("1 h 00 m")
        page.clock.fast_forward("02:00:00")
        expect(run.locator(".age")).to_have_text("3 h ago")
        expect(run.locator(".took")).to_have_text("3 h 00 m")


def card(number: int, status: str, *, health: str = "ok", **times: str) -> dict[str, Any]:
    """A card of the list of runs, which was last changed an hour ago."""
    recently = "2026-11-27T09:00:00Z"
    return {
        "id": number,
        "key": str(number),
        "status": status,
        "health": health,
        "prompt": f"Number {number}",
        "created_at": recently,
        "updated_at": recently,
        "duration_seconds": None,
        "pull_requests": [],
        **times,
    }
