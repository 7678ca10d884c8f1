"""Calls that go wrong, over real connections and in-process alike."""

import asyncio

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, ManualClock, Trouble, create_app, serve

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
RUNS = f"{ORG}/agent/run"


@pytest.fixture(params=["client", "http"])
def caller(request):
    """A client in this process, then one over a real connection: trouble looks the same to both."""
    return request.getfixturevalue(request.param)


def create(client, **options):
    return client.post(RUNS, json={"prompt": "x"}, **options)


@pytest.mark.parametrize(
    ("kind", "effects"), [("cut", 0), ("lost_answer", 1)], ids=["before the effect", "after the effect"]
)
def test_a_connection_is_cut_without_a_byte_of_an_answer(caller, fake, kind, effects):
    fake.trouble("create_agent_run", Trouble(kind))

    with pytest.raises(httpx.RemoteProtocolError):
        create(caller)

    assert len(fake.creates) == effects
    assert create(caller).status_code == 200, "the next call is served"


def test_a_lost_answer_leaves_a_run_to_be_found_by_its_metadata(caller, fake):
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    with pytest.raises(httpx.RemoteProtocolError):
        caller.post(RUNS, json={"prompt": "x", "metadata": {"client_run_id": "c-7"}})

    newest = caller.get(f"{ORG}/agent/runs", params={"limit": 1}).json()["items"][0]
    assert newest["metadata"] == {"client_run_id": "c-7"}


@pytest.mark.parametrize(("kind", "effects"), [("hang", 0), ("slow", 1)])
def test_a_caller_s_patience_ends_before_or_after_the_effect(caller, fake, kind, effects):
    caller.get("/v1/users/me")  # the patience is for the answer, not for the server's first steps
    fake.trouble("create_agent_run", Trouble(kind, seconds=20))

    with pytest.raises(httpx.ReadTimeout):
        create(caller, timeout=0.5)

    assert len(fake.creates) == effects


def test_a_slow_answer_comes_to_whoever_waits(caller, fake):
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
        (429, {"message": "Rate limit exceeded.", "status_code": 429}),
        (500, {"detail": "Internal Server Error"}),
        (503, {"detail": "Service Unavailable"}),
    ],
)
def test_an_error_has_the_form_known_for_its_status_and_no_effect(caller, fake, status, body):
    fake.trouble("create_agent_run", Trouble("error", status=status, retry_after=7))

    answer = create(caller)

    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "7"
    assert answer.json().keys() == body.keys()
    text = body.get("message") or body["detail"]
    assert next(iter(answer.json().values())).startswith(text)
    assert fake.creates == []


def test_an_html_page_comes_from_a_proxy_in_front(caller, fake):
    fake.trouble("create_agent_run", Trouble("html"))

    answer = create(caller)

    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert fake.creates == []


@pytest.mark.parametrize("kind", ["truncated", "empty"])
def test_an_answer_can_be_no_json_although_the_call_took_effect(caller, fake, kind):
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


def test_troubles_come_in_order_as_often_as_asked_and_only_for_their_operation(client, fake):
    fake.trouble("create_agent_run", Trouble("error", status=500), times=2)
    fake.trouble("create_agent_run", Trouble("none"))
    fake.trouble("create_agent_run", Trouble("error", status=503))

    assert client.get("/v1/users/me").status_code == 200
    assert [create(client).status_code for _ in range(5)] == [500, 500, 200, 503, 200]


def test_trouble_for_any_operation_follows_an_operation_s_own(client, fake):
    fake.trouble("*", Trouble("error", status=500), times=None)
    fake.trouble("get_current_user_info", Trouble("error", status=503))

    assert [client.get("/v1/users/me").status_code for _ in range(4)] == [503, 500, 500, 500]
    assert create(client).status_code == 500


def test_a_bad_token_takes_no_trouble_and_trouble_takes_no_rate_limit(client, fake):
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


# The ways to reach the fake


def test_an_asynchronous_client_meets_a_cut_in_process_too():
    fake = FakeCodegen(clock=ManualClock())
    fake.trouble("get_current_user_info", Trouble("cut"))

    async def call():
        transport = httpx.ASGITransport(create_app(fake))
        async with httpx.AsyncClient(transport=transport, base_url="http://codegen.test") as client:
            await client.get("/v1/users/me", headers={"Authorization": f"Bearer {DEMO_TOKEN}"})

    with pytest.raises(httpx.RemoteProtocolError):
        asyncio.run(call())


def test_a_server_frees_its_port_when_it_is_no_longer_needed():
    with serve(FakeCodegen()) as base_url:
        port = int(base_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"), serve(FakeCodegen(), port=port):
            pass
    with serve(FakeCodegen(), port=port) as again:
        assert again == base_url
