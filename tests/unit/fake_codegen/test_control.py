"""The control surface, used over HTTP alone."""

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, FakeTransport

RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"


@pytest.fixture
def control(fake):
    """A client without a token, because the control surface needs none."""
    with httpx.Client(transport=FakeTransport(fake), base_url="http://codegen.test") as client:
        yield client


def test_trouble_is_scripted_shown_and_removed(client, control):
    body = {"operation": "create_agent_run", "trouble": {"kind": "error", "status": 402}, "times": 3}
    assert control.post("/_fake/troubles", json=body).status_code == 200
    assert client.post(RUNS, json={"prompt": "x"}).status_code == 402
    assert control.get("/_fake").json()["troubles"] == {"create_agent_run": [{"kind": "error", "times": 2}]}

    control.delete("/_fake/troubles")

    assert client.post(RUNS, json={"prompt": "x"}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"operation": "make_coffee", "trouble": {"kind": "error"}},
        {"operation": "*", "trouble": {"kind": "gremlins"}},
        {"operation": "*", "trouble": {"kind": "error", "colour": "red"}},
        {"operation": "*", "trouble": {"kind": "error"}, "times": 0},
    ],
)
def test_invalid_trouble_is_refused(control, body):
    assert control.post("/_fake/troubles", json=body).status_code == 422


def test_runs_can_be_scripted_before_and_after_their_creation(client, control):
    control.post("/_fake/scripts", json={"script": {"ending": "FAILED", "seconds": 1}})
    first = client.post(RUNS, json={"prompt": "x"}).json()["id"]
    second = client.post(RUNS, json={"prompt": "x"}).json()["id"]
    control.put(f"/_fake/runs/{second}", json={"ending": "TIMEOUT", "seconds": 1})

    control.post("/_fake/clock", json={"advance": 1})

    assert client.get(f"{RUNS}/{first}").json()["status"] == "FAILED"
    assert client.get(f"{RUNS}/{second}").json()["status"] == "TIMEOUT"
    assert control.put("/_fake/runs/1", json={}).status_code == 404


def test_the_clock_only_goes_forward(control):
    assert control.post("/_fake/clock", json={"advance": -1}).status_code == 422


def test_creates_are_listed_as_they_were_sent(client, control):
    run = client.post(RUNS, json={"prompt": "x", "temperature": 1}).json()

    assert control.get("/_fake/creates").json()["creates"] == [
        {
            "agent_run_id": run["id"],
            "organization_id": DEMO_ORG_ID,
            "at": run["created_at"],
            "body": {"prompt": "x", "temperature": 1},
        }
    ]


def test_settings_change_one_by_one(control, fake):
    control.put("/_fake/settings", json={"rate_limits": False})
    shown = control.put("/_fake/settings", json={"pace": 0.5, "retry_after": False}).json()

    assert (shown["pace"], shown["rate_limits"], shown["retry_after"]) == (0.5, False, False)
    assert control.put("/_fake/settings", json={"rate_limits": True}).json()["rate_limits"] is True
    assert fake.pace == 0.5


def test_a_reset_returns_to_the_initial_state(client, control):
    first = client.post(RUNS, json={"prompt": "x"}).json()
    for _ in range(10):
        client.post(RUNS, json={"prompt": "x"})  # up to the rate limit
    control.post("/_fake/troubles", json={"operation": "*", "trouble": {"kind": "error"}})

    state = control.post("/_fake/reset").json()

    assert (state["creates"], state["calls"], state["troubles"]) == (0, {}, {})
    assert client.post(RUNS, json={"prompt": "x"}).json()["id"] == first["id"]


def test_help_describes_every_kind_of_trouble_and_every_field_of_a_script(control):
    text = control.get("/_fake/help").text

    for name in ("lost_answer", "string_ids", "[[fake ending=", "`nth`", "POST   /_fake/troubles"):
        assert name in text


def test_the_control_surface_is_not_in_the_openapi_document(control):
    paths = control.get("/api/openapi.json").json()["paths"]

    assert [path for path in paths if not path.startswith("/v1/")] == []
