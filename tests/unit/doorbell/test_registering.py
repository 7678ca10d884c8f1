"""Turning the doorbell on and off: the webhook that an organization has at Codegen is never lost."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.storage.doorbells import LATE_SECONDS, DoorbellsTable
from codegen_runs.storage.table import ConditionFailed
from local.fake_codegen import FakeCodegen, Trouble
from local.fake_codegen.sample_data import Organization
from tests.unit.doorbell.conftest import CUSTOMER, ORG, configure, manage, name_of, ring

pytestmark = pytest.mark.usefixtures("work", "queue")

AGREED = {"forward": True}


def configured(organization: Organization) -> tuple[str | None, bool, str | None]:
    return organization.webhook.url, organization.webhook.enabled, organization.webhook_secret


def test_the_doorbell_is_off_until_it_is_turned_on(organization: Organization) -> None:
    assert manage("GET").json == {
        "organization_id": ORG,
        "state": "off",
        "webhook": None,
        "replaced": None,
        "since": None,
        "warnings": [],
    }

    turned_on = manage("PUT", {})

    assert (turned_on.status, turned_on.json["state"], turned_on.json["since"]) == (
        200,
        "on",
        manage("GET").json["since"],
    )
    assert organization.webhook.enabled
    assert ring(name_of(organization)).status == 202


def test_the_url_has_the_domain_and_the_base_path_of_the_request(organization: Organization) -> None:
    manage("PUT", {}, base_path="/codegen")

    assert (
        organization.webhook.url
        == f"https://example.execute-api.us-east-1.amazonaws.com/codegen/v1/doorbell/{name_of(organization)}"
    )


def test_turning_it_on_again_changes_nothing(organization: Organization, fake: FakeCodegen) -> None:
    manage("PUT", {})
    before, sets = configured(organization), fake.calls["set_webhook_config"]

    assert manage("PUT", {}).json["state"] == "on"
    assert configured(organization) == before
    assert fake.calls["set_webhook_config"] == sets


def test_turning_it_off_deletes_it_and_a_new_one_has_another_url(organization: Organization) -> None:
    manage("PUT", {})
    first = organization.webhook.url

    turned_off = manage("DELETE")

    assert (turned_off.status, turned_off.json["state"]) == (200, "off")
    assert configured(organization) == (None, False, None)
    assert manage("DELETE").json["state"] == "off"
    manage("PUT", {})
    assert organization.webhook.url != first


# --- another webhook is configured -----------------------------------------------------------------------------------


def test_a_configured_webhook_is_not_replaced_unasked(organization: Organization) -> None:
    configure(organization, secret="not-secret")

    refused = manage("PUT", {})

    assert (refused.status, refused.json["code"]) == (409, "webhook_exists")
    assert configured(organization) == (CUSTOMER, True, "not-secret")
    shown = manage("GET").json
    assert (shown["state"], shown["webhook"]) == ("off", {"url": CUSTOMER, "enabled": True, "has_secret": True})


def test_with_consent_it_is_replaced_shown_and_restored(organization: Organization) -> None:
    configure(organization)

    turned_on = manage("PUT", AGREED).json

    assert turned_on["state"] == "forwarding"
    assert turned_on["replaced"] == {"url": CUSTOMER, "enabled": True, "has_secret": False}
    assert turned_on["webhook"] is None
    assert organization.webhook.url != CUSTOMER
    assert manage("DELETE").json["webhook"]["url"] == CUSTOMER
    assert configured(organization) == (CUSTOMER, True, None)


def test_a_secret_that_codegen_does_not_return_has_to_be_named(organization: Organization) -> None:
    configure(organization, secret="not-secret")

    refused = manage("PUT", AGREED)

    assert (refused.status, refused.json["code"]) == (409, "webhook_secret_needed")
    assert configured(organization) == (CUSTOMER, True, "not-secret")


def test_codegen_goes_on_to_sign_with_the_named_secret_and_it_is_restored(organization: Organization) -> None:
    configure(organization, secret="not-secret")

    turned_on = manage("PUT", AGREED | {"secret": "not-secret"})

    assert organization.webhook_secret == "not-secret"
    assert turned_on.json["replaced"]["has_secret"] is True
    assert "not-secret" not in turned_on.text + manage("GET").text
    manage("DELETE")
    assert configured(organization) == (CUSTOMER, True, "not-secret")


def test_a_disabled_webhook_gets_no_calls_and_is_restored_disabled(organization: Organization) -> None:
    configure(organization, "http://10.0.0.1/", enabled=False)

    assert manage("PUT", {}).json["code"] == "webhook_exists"
    assert manage("PUT", AGREED).json["state"] == "on"
    assert organization.webhook.enabled
    manage("DELETE")
    assert configured(organization) == ("http://10.0.0.1/", False, None)


@pytest.mark.parametrize("url", ["http://hooks.example.com/", "https://10.0.0.1/", "https://ada@hooks.example.com/"])
def test_a_webhook_that_nothing_can_be_forwarded_to_stays(url: str, organization: Organization) -> None:
    configure(organization, url)

    assert manage("PUT", AGREED).json["code"] == "webhook_not_forwardable"
    assert configured(organization) == (url, True, None)


def test_a_webhook_that_was_set_since_is_left_alone(organization: Organization) -> None:
    configure(organization)
    manage("PUT", AGREED)
    configure(organization, "https://other.example.com/")

    changed = manage("GET").json
    assert (changed["state"], changed["webhook"]["url"]) == ("changed", "https://other.example.com/")
    assert changed["replaced"]["url"] == CUSTOMER
    assert manage("PUT", {}).json["code"] == "webhook_exists"
    assert manage("DELETE").json["state"] == "off"
    assert configured(organization) == ("https://other.example.com/", True, None)


def test_a_doorbell_that_was_disabled_at_codegen_is_turned_on_again_with_what_it_replaced(
    organization: Organization,
) -> None:
    configure(organization, secret="not-secret")
    manage("PUT", AGREED | {"secret": "not-secret"})
    organization.webhook = organization.webhook.model_copy(update={"enabled": False})

    assert manage("GET").json["state"] == "changed"
    assert manage("PUT", {}).json["state"] == "forwarding"
    manage("DELETE")
    assert configured(organization) == (CUSTOMER, True, "not-secret")


def test_an_earlier_doorbell_whose_record_is_lost_is_no_webhook_of_the_customer(
    organization: Organization, work: Backend
) -> None:
    manage("PUT", {})
    table = work.doorbells._table
    table.delete({"pk": f"org#{ORG}", "sk": "doorbell"})

    assert manage("GET").json["state"] == "off"
    assert manage("PUT", {}).json == manage("GET").json
    assert manage("GET").json["state"] == "on"


def test_what_is_stored_expires_an_hour_after_it_is_turned_off(organization: Organization, work: Backend) -> None:
    configure(organization, secret="not-secret")
    manage("PUT", AGREED | {"secret": "not-secret"})
    key = {"pk": f"org#{ORG}", "sk": "doorbell"}

    assert "expires_at" not in (work.doorbells._table.get(key) or {})
    manage("DELETE")
    assert (work.doorbells._table.get(key) or {})["expires_at"] == int(work.clock.now()) + LATE_SECONDS
    manage("PUT", AGREED | {"secret": "not-secret"})
    assert "expires_at" not in (work.doorbells._table.get(key) or {})


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_refusal_of_codegen_leaves_everything_as_it_was(organization: Organization, fake: FakeCodegen) -> None:
    configure(organization)
    fake.trouble("set_webhook_config", Trouble("error", status=403))

    assert manage("PUT", AGREED).status == 403
    assert configured(organization) == (CUSTOMER, True, None)
    assert manage("GET").json["state"] == "off"


@pytest.mark.parametrize(
    "answer", [{"enabled": True, "has_secret": False}, {"url": 7, "enabled": True, "has_secret": False}]
)
def test_a_webhook_that_cannot_be_read_is_not_replaced(answer: dict[str, Any], work: Backend) -> None:
    sent: list[httpx.Request] = []

    def odd(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=answer)

    with upstream.over(httpx.MockTransport(odd)):
        assert manage("PUT", AGREED).status == 502

    assert {request.method for request in sent} == {"GET"}
    assert work.doorbells.get(ORG) is None


def test_if_the_answer_of_codegen_is_lost_the_doorbell_is_on_and_the_webhook_can_be_restored(
    organization: Organization, fake: FakeCodegen
) -> None:
    configure(organization)
    fake.trouble("set_webhook_config", Trouble("lost_answer"))

    assert manage("PUT", AGREED).status >= 500
    assert manage("GET").json["state"] == "forwarding"
    manage("DELETE")
    assert configured(organization) == (CUSTOMER, True, None)


def test_a_restoring_that_fails_can_be_repeated(organization: Organization, fake: FakeCodegen) -> None:
    configure(organization)
    manage("PUT", AGREED)
    fake.trouble("set_webhook_config", Trouble("error", status=500))

    assert manage("DELETE").status >= 500
    assert manage("GET").json["state"] == "forwarding"
    assert manage("DELETE").json["state"] == "off"
    assert configured(organization) == (CUSTOMER, True, None)


class Overtaken(DoorbellsTable):
    """Lets something happen just before one of its writes."""

    def __init__(self, name: str, number: int, happens: Any) -> None:
        super().__init__(name)
        self.number = number
        self.happens = happens

    def write(self, doorbell: Any) -> Any:
        self.number -= 1
        if self.number == 0:
            self.happens()
        return super().write(doorbell)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_an_admin_who_acts_at_the_same_time_does_not_lose_the_webhook(
    number: int, method: str, organization: Organization, work: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(organization, secret="not-secret")
    agreed = AGREED | {"secret": "not-secret"}
    plain = work.doorbells
    overtaken = Overtaken("WebhookEndpointsTable", number, lambda: None)

    def act() -> None:
        work.__dict__["doorbells"] = plain
        manage(method, agreed if method == "PUT" else None)

    overtaken.happens = act
    work.__dict__["doorbells"] = work._parts["doorbells"] = overtaken

    assert manage("PUT", agreed).json["state"] == "forwarding"
    work.__dict__["doorbells"] = work._parts["doorbells"] = plain
    assert ring(name_of(organization)).status == 202
    manage("DELETE")
    assert configured(organization) == (CUSTOMER, True, "not-secret")


def test_a_doorbell_is_written_only_in_the_state_that_was_read(work: Backend) -> None:
    manage("PUT", {})
    stored = work.doorbells.get(ORG)
    assert stored
    work.doorbells.write(stored)

    with pytest.raises(ConditionFailed):
        work.doorbells.write(stored)


# --- who, and where --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("role", ["viewer", "member"])
def test_only_an_admin_may_read_and_turn_the_doorbell(method: str, role: str, organization: Organization) -> None:
    assert manage(method, {} if method == "PUT" else None, role=role).json["code"] == "role_required"
    assert organization.webhook.url is None


def test_turning_it_on_and_off_is_recorded_and_reading_it_is_not(organization: Organization, work: Backend) -> None:
    configure(organization, secret="not-secret")
    manage("GET")
    manage("PUT", {})
    manage("PUT", AGREED | {"secret": "not-secret"})
    manage("DELETE")

    entries = list(reversed(work.audit.newest(ORG, 100)))
    assert [(each.act, each.outcome, each.code, each.details) for each in entries] == [
        ("doorbell.turn_on", "attempted", None, {}),
        ("doorbell.turn_on", "refused", "webhook_exists", {}),
        ("doorbell.turn_on", "attempted", None, {"forward": True}),
        ("doorbell.turn_on", "succeeded", None, {"forward": True}),
        ("doorbell.turn_off", "attempted", None, {}),
        ("doorbell.turn_off", "succeeded", None, {}),
    ]
    assert "not-secret" not in str(entries)


def test_a_local_deployment_is_not_registered_at_a_codegen_on_the_internet(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRIVATE_WEBHOOKS", "true")
    monkeypatch.setenv("CODEGEN_BASE_URL", "https://api.codegen.com")
    local = {"headers": {"Host": "127.0.0.1:3000"}}

    assert manage("PUT", {}, **local).json["code"] == "doorbell_unreachable"
    assert organization.webhook.url is None

    monkeypatch.setenv("CODEGEN_BASE_URL", "http://127.0.0.1:3002")
    assert manage("PUT", {}, **local).json["state"] == "on"
    assert organization.webhook.url
    assert organization.webhook.url.startswith("http://127.0.0.1:3000/v1/doorbell/")


@pytest.mark.parametrize("body", [{"forward": "perhaps"}, {"secret": ""}, {"secret": "x" * 1025}, []])
def test_a_request_in_another_form_is_refused(body: Any, organization: Organization) -> None:
    assert manage("PUT", body).status == 422
    assert organization.webhook.url is None


def test_an_unknown_field_has_a_warning() -> None:
    (warning,) = manage("PUT", {"always": True}).json["warnings"]

    assert warning["pointer"] == "/always"
