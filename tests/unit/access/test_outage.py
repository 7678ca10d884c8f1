"""Callers while the Codegen API fails: who may still do what, for how long, and how often the API is called."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from codegen_runs import upstream
from codegen_runs.access.authentication import FAILURE_SECONDS, REFUSAL_SECONDS, TABLE_SECONDS
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.events import timestamp
from codegen_runs.http.answers import EXPOSED_HEADERS
from codegen_runs.run_cards import repos
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport
from local.template import Template
from tests.support import backend as support
from tests.support import handlers, samples
from tests.support.backend import TestClock
from tests.support.events import Answer, Context, current, invoke
from tests.support.loops import current_loop
from tests.support.sources import FUNCTIONS
from tests.unit.access.service import ADA, HOME, ORG, Service

HEADER = "identity-unconfirmed-since"
DAY = 24 * 3600
CHECK = ["/v1/users/me", "/v1/organizations"]
"""The requests of a check that fails."""
STARS = f"{HOME}/starred-runs"


def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused.", request=request)


def time_out(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("Timed out.", request=request)


FAILURES: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "500": lambda _: httpx.Response(500, json={"detail": "Down."}),
    "503": lambda _: httpx.Response(503, headers={"Retry-After": "60"}),
    "429": lambda _: httpx.Response(429, json={"detail": "Too many requests."}),
    "page": lambda _: httpx.Response(200, text="<html>Maintenance</html>"),
    "null": lambda _: httpx.Response(200, text="null"),
    "other object": lambda _: httpx.Response(200, json={"id": "seven"}),
    "timeout": time_out,
    "refused connection": refuse_connection,
}


@dataclass
class Outage:
    """A failure of the Codegen API, and the requests that it received."""

    answer: Callable[[httpx.Request], httpx.Response]
    requests: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        return self.answer(request)


@contextmanager
def outage(kind: str = "500") -> Iterator[Outage]:
    failure = Outage(FAILURES[kind])
    with upstream.over(httpx.MockTransport(failure)):
        yield failure


def work(service: Service, token: str = ADA) -> Answer:
    """Read what only this deployment stores."""
    return service.send("GET", f"{HOME}/agents", token)


@pytest.fixture
def run_id(service: Service, fake: FakeCodegen) -> int:
    """A run that this deployment follows and that Ada has starred."""
    run_id: int = service.send("POST", f"{HOME}/agent/run", ADA, {"prompt": "Say hello."}).json["id"]
    assert service.send("POST", STARS, ADA, {"agent_run_id": run_id, "note": "Look."}).status == 200
    return run_id


@pytest.mark.parametrize("kind", FAILURES)
def test_a_caller_can_read_when_the_cached_identity_expires_in_an_outage(
    service: Service, clock: TestClock, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert HEADER not in work(service).headers
    verified_at = clock.now()
    clock.sleep(TABLE_SECONDS + 1)
    capsys.readouterr()
    with outage(kind):
        answer = work(service)

    assert answer.status == 200
    assert answer.headers[HEADER] == timestamp(int(verified_at))
    assert HEADER.title() in EXPOSED_HEADERS.split(",")
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["UnconfirmedRequests"], line["unconfirmed_since"]) == ([1], answer.headers[HEADER])


def test_only_a_failing_list_of_organizations_is_an_outage_too(
    service: Service, clock: TestClock, fake: FakeCodegen
) -> None:
    work(service)
    clock.sleep(TABLE_SECONDS + 1)
    fine = FakeTransport(fake)

    def answer(request: httpx.Request) -> httpx.Response:
        return FAILURES["500"](request) if request.url.path.endswith("/organizations") else fine.handle_request(request)

    with upstream.over(httpx.MockTransport(answer)):
        assert work(service).headers[HEADER]


def only_users_me_fails(otherwise: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    return httpx.MockTransport(
        lambda request: FAILURES["500"](request) if request.url.path.endswith("/users/me") else otherwise(request)
    )


def test_a_caller_stays_confirmed_while_only_users_me_fails(
    service: Service, clock: TestClock, fake: FakeCodegen
) -> None:
    work(service)
    clock.sleep(TABLE_SECONDS + 1)
    with upstream.over(only_users_me_fails(FakeTransport(fake).handle_request)):
        answer = service.send("POST", f"{HOME}/agent/run", ADA, {"prompt": "Say hello."})

    assert answer.status == 200
    assert HEADER not in answer.headers


def test_a_token_that_codegen_refuses_is_forgotten_while_users_me_fails(service: Service, clock: TestClock) -> None:
    work(service)
    clock.sleep(TABLE_SECONDS + 1)
    with outage():
        assert work(service).status == 200
    clock.sleep(FAILURE_SECONDS)
    with upstream.over(only_users_me_fails(lambda _: httpx.Response(401, json={"detail": "Revoked."}))):
        assert work(service).status == 401
        service.another_process()
        assert work(service).status == 401


@pytest.mark.parametrize("path", ["/v1/users/me", "/v1/organizations"])
@pytest.mark.parametrize(("kind", "status"), [("500", 502), ("timeout", 504)])
def test_what_the_deployment_does_not_store_fails_in_an_outage(
    service: Service, clock: TestClock, path: str, kind: str, status: int
) -> None:
    work(service)
    clock.sleep(TABLE_SECONDS + 1)
    with outage(kind):
        answer = service.send("GET", path, ADA)

    assert (answer.status, answer.json["retryable"]) == (status, True)
    assert answer.headers[HEADER]


def test_stars_and_past_events_can_be_read_and_stars_set_in_an_outage(
    service: Service, clock: TestClock, run_id: int
) -> None:
    clock.sleep(TABLE_SECONDS + 1)
    with outage() as failure:
        (star,) = service.send("GET", STARS, ADA).json["items"]
        events = service.send("GET", f"{HOME}/agent/run/{run_id}/events", ADA)
        again = service.send("POST", STARS, ADA, {"agent_run_id": run_id, "note": "Later."})
        gone = service.send("DELETE", f"{STARS}/{run_id}", ADA)
        back = service.send("POST", STARS, ADA, {"agent_run_id": run_id})
        ticket = service.send("POST", "/v1/stream-tickets", ADA, {"agent_run_id": run_id})

    assert (star["note"], star["stale"], star["run"]["id"], star["run"]["starred"]) == ("Look.", True, run_id, True)
    assert star["run"]["prompt"] == "Say hello."
    assert events.status == 200
    assert (again.json["note"], gone.status, back.status, ticket.status) == ("Later.", 204, 200, 201)
    assert failure.requests == CHECK * 2


def test_confirmed_callers_can_read_and_set_stars_in_an_outage(service: Service, clock: TestClock, run_id: int) -> None:
    with outage():
        answer = service.send("GET", STARS, ADA)
        again = service.send("POST", STARS, ADA, {"agent_run_id": run_id})
        unknown = service.send("POST", STARS, ADA, {"agent_run_id": 7})

    assert HEADER not in answer.headers
    assert [item["stale"] for item in answer.json["items"]] == [True]
    assert (again.status, unknown.status) == (200, 502)
    (star,) = service.send("GET", STARS, ADA).json["items"]
    assert (star["stale"], star["run"]["id"]) == (False, run_id)


def test_a_request_that_acts_at_codegen_is_refused_with_the_reason(service: Service, clock: TestClock) -> None:
    work(service)
    verified_at = clock.now()
    clock.sleep(TABLE_SECONDS + 1)
    with outage() as failure:
        answer = service.send("POST", f"{HOME}/agent/run", ADA, {"prompt": "Hello!"}, **{"Idempotency-Key": "one"})
    assert failure.requests == CHECK * 2

    assert (answer.status, answer.json["code"], answer.json["retryable"]) == (503, "identity_unconfirmed", True)
    assert timestamp(int(verified_at)) in answer.json["detail"]
    assert answer.headers["retry-after"] == str(FAILURE_SECONDS)
    clock.sleep(FAILURE_SECONDS)
    again = service.send("POST", f"{HOME}/agent/run", ADA, {"prompt": "Hello!"}, **{"Idempotency-Key": "one"})
    assert again.status == 200
    assert HEADER not in again.headers


AUTHENTICATED = [
    name
    for name in samples.names()
    if "httpMethod" in (event := samples.read(name)) and "authorizer" in event["requestContext"]
]
"""The functions whose sample is a request of an authenticated caller."""

OWN_DATA = {"StarRun", "UnstarRun", "RevokeApiToken", "CreateStreamTicket", "RenderMarkdown"}


@pytest.fixture
def loop() -> Iterator[None]:
    """The event loop that Mangum runs on."""
    with current_loop():
        yield


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("name", AUTHENTICATED)
def test_an_unconfirmed_caller_may_only_read_and_change_own_data(
    name: str, deployed: Template, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample event of each function, sent by an unconfirmed caller while the Codegen API fails."""
    event, function = samples.read(name), support.every_function()[name]
    event["requestContext"]["authorizer"]["unconfirmed_since"] = "2026-01-01T00:00:00.000Z"
    module = (function.code_dir / function.handler.removesuffix(".handler")).relative_to(FUNCTIONS)
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    with outage():
        answer = invoke(handlers.handler(str(module)), event, Context())

    refused = answer["statusCode"] == 503 and "identity_unconfirmed" in answer["body"]
    assert refused is (event["httpMethod"] not in ("GET", "HEAD") and name not in OWN_DATA)
    assert answer["statusCode"] != 500


def test_the_upstream_is_called_once_in_some_seconds_by_all_processes_together(
    service: Service, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "2")
    work(service)
    clock.sleep(TABLE_SECONDS + 1)
    with outage() as failure:
        for second in range(3 * FAILURE_SECONDS):
            for _ in range(3):
                service.another_process()
                assert work(service).headers[HEADER]
            # The first check is repeated.
            assert failure.requests == CHECK * (second // FAILURE_SECONDS + 2)
            clock.sleep(1)


def test_the_grace_period_ends_a_day_after_the_verification(service: Service, clock: TestClock) -> None:
    work(service)
    clock.sleep(DAY - 1)
    with outage():
        assert work(service).status == 200
        clock.sleep(1)
        with pytest.raises(Exception, match="Down"):  # The gateway answers 502.
            work(service)


def test_the_grace_period_is_a_parameter(service: Service, clock: TestClock, monkeypatch: pytest.MonkeyPatch) -> None:
    hours = support.template(IdentityGraceHours="2").functions["Authorize"].environment["IDENTITY_GRACE_HOURS"]
    work(service)  # Stored with a day of grace.
    monkeypatch.setenv("IDENTITY_GRACE_HOURS", hours)
    service.another_process()
    clock.sleep(2 * 3600 - 1)
    with outage():
        assert work(service).status == 200
        clock.sleep(1)
        with pytest.raises(Exception, match="Down"):
            work(service)


def test_without_a_grace_period_an_outage_refuses_callers(
    service: Service, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_GRACE_HOURS", "0")
    service.another_process()
    work(service)
    clock.sleep(TABLE_SECONDS)
    with outage(), pytest.raises(Exception, match="Down"):
        work(service)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_by_codegen_forgets_the_identity_in_all_processes(
    service: Service, clock: TestClock, status: int
) -> None:
    work(service)
    clock.sleep(TABLE_SECONDS + 1)
    with outage():
        assert work(service).status == 200
    clock.sleep(FAILURE_SECONDS)
    with upstream.over(httpx.MockTransport(lambda _: httpx.Response(status, json={"detail": "Revoked."}))):
        assert work(service).status == 401
    for seconds in (0, REFUSAL_SECONDS):
        clock.sleep(seconds)
        service.another_process()
        with outage():
            if seconds:
                with pytest.raises(Exception, match="Down"):
                    work(service)
            else:
                assert work(service).status == 401


def test_an_unknown_token_is_not_admitted_in_an_outage(service: Service) -> None:
    with outage(), pytest.raises(Exception, match="Down"):
        work(service)


def test_an_api_token_of_the_deployment_survives_an_outage_and_not_its_revocation(
    service: Service, clock: TestClock
) -> None:
    made = service.make_token()
    assert work(service, made["token"]).status == 200
    clock.sleep(TABLE_SECONDS + 1)
    with outage() as failure:
        answer = work(service, made["token"])
        refused = service.send("POST", f"{HOME}/agent/run", made["token"], {"prompt": "Hello!"})
        revoked = service.send("DELETE", f"/v1/users/me/api-tokens/{made['id']}", ADA)
        after = work(service, made["token"])

    assert (answer.status, refused.json["code"], revoked.status) == (200, "identity_unconfirmed", 204)
    assert answer.headers[HEADER]
    assert after.json["code"] == "token_revoked"
    # One check of each token, which is repeated once.
    assert failure.requests == [f"/v1/organizations/{ORG}/users/789"] * 2 + CHECK * 2


def test_a_role_that_was_taken_in_this_deployment_applies_in_an_outage(service: Service, clock: TestClock) -> None:
    """The outage of Codegen must not outlive the decisions of this deployment."""
    linus = "fake-codegen-token-of-linus"
    assert (
        service.send("POST", f"{HOME}/agents", linus, {"id": "one", "name": "One", "system_prompt": "Go."}).status
        == 201
    )
    service.give(791, role="viewer")
    clock.sleep(TABLE_SECONDS + 1)
    with outage():
        assert work(service, linus).status == 200
        assert service.send("DELETE", f"{HOME}/agents/one", linus).status == 503
    clock.sleep(FAILURE_SECONDS)
    assert service.send("DELETE", f"{HOME}/agents/one", linus).json["code"] == "role_required"


def test_a_websocket_opens_in_an_outage(service: Service, clock: TestClock, deployed: Template) -> None:
    connect = handlers.load("live/connect")
    connect.standing.cache_clear()

    def open_connection(token: str) -> int:
        event = {"headers": {"Authorization": f"Bearer {token}"}, "requestContext": {"connectionId": "eve="}}
        status: int = connect.handler(event, Context(), current())["statusCode"]
        return status

    assert open_connection(ADA) == 200
    clock.sleep(TABLE_SECONDS + 1)
    with outage():
        assert open_connection(ADA) == 200
    clock.sleep(FAILURE_SECONDS)
    with upstream.over(httpx.MockTransport(lambda _: httpx.Response(401))):
        assert open_connection(ADA) == 401
    connect.standing.cache_clear()


def test_names_of_repositories_are_remembered_in_an_outage(service: Service, clock: TestClock, codegen: Any) -> None:
    caller = Caller(id="user:789", user_id=789, organizations=frozenset({ORG}), token=DEMO_TOKEN)
    repos.forget()
    known = repos.names(org_id=ORG, caller=caller, backend=Backend(clock=clock, codegen=codegen))
    clock.sleep(repos.REMEMBERED + 1)
    with outage():
        failing = Backend(clock=clock, codegen=upstream.for_token(DEMO_TOKEN))
        assert repos.names_if_available(org_id=ORG, caller=caller, backend=failing) == known != {}
    repos.forget()


@pytest.mark.parametrize("kind", ["page", "null", "other object"])
def test_garbage_is_asked_for_once_more_before_an_unknown_caller_is_turned_away(
    kind: str, service: Service, fake: FakeCodegen
) -> None:
    answers = [FAILURES[kind], FakeTransport(fake).handle_request]

    def once(request: httpx.Request) -> httpx.Response:
        return answers.pop(0)(request) if len(answers) > 1 else answers[0](request)

    with upstream.over(httpx.MockTransport(once)):
        assert work(service).status == 200
