"""Calls that go wrong, over real connections and in-process."""

import asyncio

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, ManualClock, Trouble, create_app, serve

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
RUNS = f"{ORG}/agent/run"


@pytest.fixture(params=["client", "http"])
def caller(request):
    """A client in this process, then one over a real connection. Trouble looks the same to both."""
    return request.getfixturevalue(request.param)


def create(client, **options):
    return client.post(RUNS, json={"prompt": "x"}, **options)


@pytest.mark.parametrize(
    ("kind", "effects"), [("cut", 0), ("lost_answer", 1)], ids=["before the effect", "after the effect"]
)
def test_a_connection_is_cut_without_any_answer(caller, fake, kind, effects):
    fake.trouble("create_agent_run", Trouble(kind))

    with pytest.raises(httpx.RemoteProtocolError):
        create(caller)

    assert len(fake.creates) == effects
    assert create(caller).status_code == 200, "the next call is served"


def test_a_run_whose_create_lost_its_answer_can_be_found_by_its_metadata(caller, fake):
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post(RUNS, json={"prompt": "x", "metadata": {"client_run_id": "c-7"}})

    newest = caller.get(f"{ORG}/agent/runs", params={"limit": 1}).json()["items"][0]
    assert newest["metadata"] == {"client_run_id": "c-7"}


@pytest.mark.parametrize(("kind", "effects"), [("hang", 0), ("slow", 1)])
def test_a_call_can_time_out_before_or_after_its_effect(caller, fake, kind, effects):
    caller.get("/v1/users/me")  # the timeout must not include the start of the server
    fake.trouble("create_agent_run", Trouble(kind, seconds=20))

    with pytest.raises(httpx.ReadTimeout):
        create(caller, timeout=0.5)

    assert len(fake.creates) == effects


def test_a_slow_answer_reaches_a_caller_that_waits(caller, fake):
    fake.trouble("create_agent_run", Trouble("slow", seconds=0.05))

    assert create(caller, timeout=5).json()["status"] == "ACTIVE"


def test_a_call_that_hangs_ends_with_a_cut(caller, fake):
    fake.trouble("create_agent_run", Trouble("hang", seconds=0.02))

    with pytest.raises(httpx.RemoteProtocolError):
        create(caller, timeout=5)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"detail": "Unauthorized"}),
        (402, {"message": "Alloted agent runs", "status_code": 402}),
        (403, {"message": "You do not have access", "status_code": 403}),
        (404, {"message": "Agent run not found.", "status_code": 404}),
        (429, {"message": "Rate limit exceeded.", "status_code": 429}),
        (500, {"detail": "Internal Server Error"}),
        (503, {"detail": "Service Unavailable"}),
    ],
)
def test_an_error_has_the_form_of_its_status_and_no_effect(caller, fake, status, body):
    fake.trouble("create_agent_run", Trouble("error", status=status, retry_after=7))

    answer = create(caller)

    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "7"
    assert answer.json().keys() == body.keys()
    text = body.get("message") or body["detail"]
    assert next(iter(answer.json().values())).startswith(text)
    assert fake.creates == []


def test_a_call_can_get_the_html_page_of_a_proxy(caller, fake):
    fake.trouble("create_agent_run", Trouble("html"))

    answer = create(caller)

    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert fake.creates == []


@pytest.mark.parametrize("kind", ["truncated", "empty"])
def test_an_answer_can_be_invalid_json_after_the_call_took_effect(caller, fake, kind):
    fake.trouble("create_agent_run", Trouble(kind))

    answer = create(caller)

    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()
    assert len(fake.creates) == 1


def test_integration_ids_can_be_strings(caller, fake):
    path = f"{ORG}/integrations"
    plain = caller.get(path).json()
    fake.trouble("get_organization_integrations_endpoint", Trouble("string_ids"))

    stringly = caller.get(path).json()

    assert [item["token_id"] for item in stringly["integrations"]] == [
        None if item["token_id"] is None else str(item["token_id"]) for item in plain["integrations"]
    ]
    assert stringly["organization_id"] == DEMO_ORG_ID


# The queue


def test_trouble_comes_in_order_as_often_as_queued_and_only_for_its_operation(client, fake):
    fake.trouble("create_agent_run", Trouble("error", status=500), times=2)
    fake.trouble("create_agent_run", Trouble("none"))
    fake.trouble("create_agent_run", Trouble("error", status=503))

    assert client.get("/v1/users/me").status_code == 200
    assert [create(client).status_code for _ in range(5)] == [500, 500, 200, 503, 200]


def test_trouble_for_any_operation_comes_after_an_operations_own(client, fake):
    fake.trouble("*", Trouble("error", status=500), times=None)
    fake.trouble("get_current_user_info", Trouble("error", status=503))

    assert [client.get("/v1/users/me").status_code for _ in range(4)] == [503, 500, 500, 500]
    assert create(client).status_code == 500


def test_a_bad_token_uses_up_no_trouble_and_trouble_uses_up_no_rate_limit(client, fake):
    fake.trouble("create_agent_run", Trouble("error"), times=50)
    assert create(client, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert {create(client).status_code for _ in range(50)} == {500}
    assert create(client).status_code == 200


def test_every_call_that_arrives_is_counted(client, fake):
    fake.trouble("create_agent_run", Trouble("cut"))
    with pytest.raises(httpx.RemoteProtocolError):
        create(client)
    create(client, headers={"Authorization": "Bearer wrong"})
    create(client)
    client.get("/v1/users/me")

    assert fake.calls == {"create_agent_run": 3, "get_current_user_info": 1}


# Transports


def test_a_cut_also_reaches_an_asynchronous_client_in_process():
    fake = FakeCodegen(clock=ManualClock())
    fake.trouble("get_current_user_info", Trouble("cut"))

    async def call():
        transport = httpx.ASGITransport(create_app(fake))
        async with httpx.AsyncClient(transport=transport, base_url="http://codegen.test") as client:
            await client.get("/v1/users/me", headers={"Authorization": f"Bearer {DEMO_TOKEN}"})

    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(call())


def test_a_server_frees_its_port_at_the_end():
    with serve(FakeCodegen()) as base_url:
        port = int(base_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"), serve(FakeCodegen(), port=port):
            pass
    with serve(FakeCodegen(), port=port) as again:
        assert again == base_url
