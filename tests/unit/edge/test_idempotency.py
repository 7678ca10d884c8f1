"""Requests with an Idempotency-Key that are sent again."""

import base64
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import APITimeoutError
from codegen_runs import aws, upstream
from codegen_runs.bodies import Body
from codegen_runs.http import idempotency, sameness
from codegen_runs.http.edge import endpoint
from codegen_runs.http.idempotency import LIFETIME, Keyed, OutcomeUnknown, RequestInProgress
from codegen_runs.http.parameters import CurrentCaller
from codegen_runs.problems import Conflict, Problem, StorageUnavailable
from codegen_runs.storage.idempotency import Attempt, IdempotencyTable
from codegen_runs.storage.table import ConditionFailed
from codegen_runs.upstream.errors import problem_of
from local.template import Template
from tests.support.aws import Aws
from tests.support.backend import TestClock
from tests.support.events import CALLER, Answer, call, rest
from tests.support.handlers import handler
from tests.support.wire import Wire

PATH = "/v1/organizations/123/things"
ROUTE = "/v1/organizations/{org_id}/things"
PLACE = {"path": PATH}
HOME = "/v1/organizations/123"
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


class Thing(Body):
    name: str


class Things:
    """An operation with effects, which records them and can fail."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.fails: Exception | None = None
        self.after_effect = True
        app, other = APIGatewayRestResolver(enable_validation=True), APIGatewayRestResolver(enable_validation=True)

        @app.post("/v1/organizations/<org_id>/things")
        @app.post("/organizations/<org_id>/things", include_in_schema=False)
        @other.post("/v1/organizations/<org_id>/other-things")
        def make(org_id: int, request: Thing, caller: CurrentCaller) -> Response[dict[str, Any]]:
            if self.fails and not self.after_effect:
                raise self.fails
            self.made.append(f"{caller.id} {org_id} {request.name}")
            if self.fails:
                raise self.fails
            headers = {"Location": f"{PATH}/{len(self.made)}"}
            return Response(201, "application/json", {"number": len(self.made)}, headers=headers)

        self.handlers = {False: endpoint(app), True: endpoint(other)}

    def send(self, key: str | None = KEY, body: Any = None, **more: Any) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        headers |= more.pop("headers", {})
        encoded = {"isBase64Encoded": more.pop("isBase64Encoded", False)}
        event = {"path": PATH, "resource": ROUTE, "body": {"name": "one"} if body is None else body} | more
        return call(
            self.handlers["other" in event["path"]], rest("POST", event.pop("path"), headers=headers, **event) | encoded
        )


class Storage(httpx.BaseTransport):
    """A transport to DynamoDB that records requests, and can refuse one or lose its answer."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.refused_from = math.inf  # the number of the first call that is refused
        self.loses_answer = False
        self._dynamodb = Aws()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.read().decode())
        if len(self.sent) >= self.refused_from:
            return httpx.Response(400, json={"__type": "com.amazonaws#ProvisionedThroughputExceededException"})
        answer = self._dynamodb.handle_request(request)
        if self.loses_answer:
            self.loses_answer = False
            raise httpx.ReadTimeout("late")
        return answer


@pytest.fixture
def storage(deployed: Template) -> Iterator[Storage]:
    storage = Storage()
    with aws.wire.over(storage):
        yield storage


@pytest.fixture
def things(storage: Storage) -> Things:
    return Things()


def test_a_repeated_request_gets_the_first_answer_and_is_not_executed(things: Things) -> None:
    first, again = things.send(), things.send()

    assert (again.status, again.text) == (first.status, first.text) == (201, '{"number":1}')
    assert again.headers == first.headers | {"idempotent-replay": "true"}
    assert len(things.made) == 1


def test_a_request_without_a_key_is_executed_each_time(things: Things, storage: Storage) -> None:
    assert [things.send(None).json["number"] for _ in range(2)] == [1, 2]
    assert storage.sent == []


@pytest.mark.parametrize(
    "other",
    [
        {"caller": replace(CALLER, id="user:43")},
        {"path": PATH.replace("123", "124")},
        {"path": PATH.replace("things", "other-things"), "resource": ROUTE.replace("things", "other-things")},
        {"key": "another"},
    ],
)
def test_a_key_belongs_to_one_caller_in_one_organization_on_one_route(things: Things, other: dict[str, Any]) -> None:
    things.send()
    answer = things.send(**other)

    assert answer.json == {"number": 2}
    assert "idempotent-replay" not in answer.headers


def written(text: str, encoding: str) -> dict[str, Any]:
    """Return the fields of an event with a body in another encoding."""
    return {"body": base64.b64encode(text.encode(encoding)).decode(), "isBase64Encoded": True}


FIELDS = '{"name": "one", "more": {"a": 1, "b": [2, "\u00e9"]}}'


@pytest.mark.parametrize(
    "again",
    [
        {"body": '{"more": {"b": [2, "\u00e9"], "a": 1}, "name": "one"}'},
        {"body": '{"name":"one","more":{"a":1,"b":[2,"\u00e9"]}}'},
        {"body": f"\n\t{FIELDS}\r\n "},
        {"body": FIELDS.replace("\u00e9", "\\u00e9").replace("one", "\\u006fne")},
        {"body": FIELDS.replace("1", "1.0").replace("2", "2e0")},
        {"body": FIELDS.replace("1", "10e-1").replace("2", "20E-1")},
        {"body": FIELDS.replace('"name"', '"name": "two", "name"')},
        {"body": f"\ufeff{FIELDS}"},
        written(FIELDS, "utf-8"),
        written(FIELDS, "utf-8-sig"),
        written(FIELDS, "utf-16"),
        written(FIELDS, "utf-16-be"),
        written(FIELDS, "utf-32"),
        {"path": f"{PATH}/"},
        {"path": PATH.replace("123", "0123")},
        {"path": PATH.replace("123", "%31%323")},
        {"path": PATH.replace("things", "%74hings")},
        {"path": PATH.removeprefix("/v1"), "resource": ROUTE.removeprefix("/v1")},
        {"headers": {"Content-Type": "application/json; charset=utf-8"}},
    ],
    ids=repr,
)
def test_a_request_that_is_written_differently_is_the_same(things: Things, again: dict[str, Any]) -> None:
    first = things.send(body=FIELDS)
    answer = things.send(**{"body": FIELDS} | again)

    assert (answer.status, answer.text) == (first.status, first.text) == (201, '{"number":1}')
    assert answer.headers["idempotent-replay"] == "true"
    assert len(things.made) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"body": FIELDS.replace("1", "1.5")},
        {"body": FIELDS.replace("1", '"1"')},
        {"body": FIELDS.replace("1", "true")},
        {"body": FIELDS.replace("1", "9007199254740993")},
        {"body": FIELDS.replace("\u00e9", "e\u0301")},
        {"body": FIELDS.replace('[2, "\u00e9"]', '["\u00e9", 2]')},
        {"body": FIELDS.replace('"name"', '"name": "one", "Name"')},
        {"body": FIELDS.replace("one", "one ")},
    ],
    ids=repr,
)
def test_a_request_that_says_something_else_is_another(things: Things, other: dict[str, Any]) -> None:
    things.send(body=FIELDS)
    answer = things.send(**other)

    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert len(things.made) == 1


@pytest.mark.parametrize("again", ["?b=2&a=1,3", "?a=1&a=3&b=2", "?a=1&b=2&a=3"])
def test_the_order_of_query_parameters_makes_no_difference(things: Things, again: str) -> None:
    things.send(path=f"{PATH}?a=1&a=3&b=2")

    assert things.send(path=PATH + again).headers["idempotent-replay"] == "true"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda each: st.lists(each) | st.dictionaries(st.text("abc"), each),
    ),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"]),
)
def test_the_same_fields_are_the_same_body_however_they_are_written(value: Any, encoding: str) -> None:
    fields = {"value": value, "more": 1}
    turned = json.dumps({"more": 1.0, "value": value}, indent=3, ensure_ascii=False).encode(encoding)
    events = [
        {"body": json.dumps(fields)} | PLACE,
        {"body": base64.b64encode(turned).decode(), "isBase64Encoded": True} | PLACE,
    ]

    assert sameness.fields(events[0]) == sameness.fields(events[1])
    assert sameness.fields(events[0]) != sameness.fields({"body": json.dumps({"value": [value], "more": 1})} | PLACE)


FOLLOW_UPS = [
    (f"{HOME}/agent/run/resume", {"agent_run_id": 7}),
    (f"{HOME}/agent/run/resume", {"agent_run_id": "7"}),
    (f"{HOME}/agent/run/resume/", {"agent_run_id": 7.0}),
    (f"{HOME}/agent/run/7/resume", {}),
    (f"{HOME}/agent/run/007/resume", {}),
    (f"{HOME.removeprefix('/v1')}/agent/run/7/resume", {}),
    ("/api/runs/7/resume/", {}),
]


@pytest.mark.parametrize(("path", "more"), FOLLOW_UPS)
@pytest.mark.parametrize(("first_path", "first_more"), FOLLOW_UPS[:4])
def test_every_path_of_an_operation_is_the_same_request(
    first_path: str,
    first_more: Any,
    path: str,
    more: Any,
    deployed: Template,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CODEGEN_ORG_ID", "123")
    for name, value in deployed.functions["ResumeAgentRun"].environment.items():
        monkeypatch.setenv(name, value)
    resume = handler("agent_runs/resume")
    key = {"Idempotency-Key": KEY}
    wire = Wire([httpx.Response(200, json={"id": 7, "organization_id": 123, "status": "ACTIVE"})] * 9)
    with upstream.over(wire):
        first = call(resume, rest("POST", first_path, body=first_more | {"prompt": "And now?"}, headers=key))
        sent = len(wire.requests)
        again = call(resume, rest("POST", path, body={"prompt": "And now?"} | more, headers=key))

    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["idempotent-replay"] == "true"
    assert len(wire.requests) == sent


def test_a_field_does_not_hide_the_run_in_the_path(
    deployed: Template, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in deployed.functions["ResumeAgentRun"].environment.items():
        monkeypatch.setenv(name, value)
    wire = Wire([httpx.Response(200, json={"id": 7, "organization_id": 123, "status": "ACTIVE"})] * 9)
    body = {"prompt": "And now?", "agent_run_id": 8}
    with upstream.over(wire):
        for run_id in (7, 9):
            event = rest("POST", f"{HOME}/agent/run/{run_id}/resume", body=body, headers={"Idempotency-Key": KEY})
            answer = call(handler("agent_runs/resume"), event)

    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("empty", [None, "", "{}", "null", " {} "])
def test_no_body_is_the_same_as_one_without_fields(empty: str | None) -> None:
    assert sameness.fields({"body": empty} | PLACE) == sameness.fields({"body": "{}"} | PLACE)


@pytest.mark.parametrize("other", [{"body": {"name": "two"}}, {"path": f"{PATH}?dry=1"}, {"body": "nonsense"}])
def test_a_key_cannot_be_used_for_another_request(things: Things, other: dict[str, Any]) -> None:
    things.send()
    answer = things.send(**other)

    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert len(things.made) == 1


@pytest.mark.parametrize("unfit", ["", " ", "x" * 256, "na\u00efve", " x", "x\n"])
def test_an_invalid_key_is_refused(things: Things, unfit: str) -> None:
    answer = things.send(unfit)

    assert (answer.status, answer.json["code"]) == (400, "invalid_idempotency_key")
    assert things.made == []


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255))
def test_any_printable_key_is_valid_and_bound_to_its_scope(key: str) -> None:
    request = Keyed.read(key, scope=("user:42", "123", "POST /"), asked=("/",))

    assert len(request.key) == 64
    assert request.key != Keyed.read(key, scope=("user:42", "12", "3POST /"), asked=("/",)).key


def test_a_caller_without_access_is_refused_before_the_key_is_looked_up(things: Things, storage: Storage) -> None:
    assert things.send(path=PATH.replace("123", "999")).status == 403
    assert storage.sent == []


@pytest.mark.parametrize("refused", [Conflict("It is there."), StorageUnavailable("Away.")])
def test_a_refusal_before_any_effect_releases_the_key(things: Things, refused: Problem) -> None:
    things.fails, things.after_effect = refused, False
    assert things.send().status == refused.status
    things.fails = None

    answer = things.send()

    assert answer.status == 201
    assert "idempotent-replay" not in answer.headers


def test_a_refusal_is_returned_even_if_the_key_cannot_be_released(things: Things, storage: Storage) -> None:
    things.fails, things.after_effect = Conflict("It exists."), False
    storage.refused_from = 2

    assert things.send().json["detail"] == "It exists."


def test_an_invalid_request_can_be_corrected_and_sent_with_the_same_key(things: Things) -> None:
    assert things.send(body={"name": 7}).status == 422
    assert things.send().status == 201


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (problem_of(APITimeoutError("No answer.", effect_unknown=True)), 504, "upstream_timeout"),
        (StorageUnavailable("No answer.", effect_unknown=True), 503, "storage_unavailable"),
        (LookupError("a fault of ours"), 500, "internal_error"),
    ],
)
def test_a_failure_that_may_have_had_an_effect_is_repeated_and_nothing_is_executed(
    things: Things, failure: Exception, status: int, code: str
) -> None:
    things.fails = failure
    first = things.send()
    things.fails = None
    again = things.send()

    assert (first.status, first.json["code"]) == (status, code)
    assert (again.status, again.text) == (first.status, first.text)
    assert again.headers["idempotent-replay"] == "true"
    assert again.headers["content-type"] == "application/problem+json"
    assert len(things.made) == 1


def test_an_answer_that_cannot_be_stored_is_returned(things: Things, storage: Storage) -> None:
    storage.refused_from = 2
    first = things.send()
    storage.refused_from = math.inf
    again = things.send()

    assert first.status == 201
    assert (again.status, again.json["code"], again.json["retryable"]) == (409, "request_in_progress", True)
    assert len(things.made) == 1


def test_nothing_is_executed_if_the_key_cannot_be_looked_up(things: Things, storage: Storage) -> None:
    storage.refused_from = 1
    answer = things.send()

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert things.made == []


def test_neither_the_key_nor_the_token_is_stored(things: Things, storage: Storage) -> None:
    things.send()

    assert storage.sent
    for secret in (KEY, CALLER.token):
        assert secret not in "".join(storage.sent)


# --- two requests at different times -------------------------------------------------------------------------------


class MemoryAttempts:
    def __init__(self) -> None:
        self.kept: dict[str, Attempt] = {}

    def begin(self, key: str, attempt: Attempt, now: int) -> Attempt | None:
        if (first := self.kept.get(key)) and first.expires_at > now:
            return first
        self.kept[key] = attempt
        return None

    def finish(self, key: str, attempt: Attempt) -> None:
        if key not in self.kept or self.kept[key].id != attempt.id:
            raise ConditionFailed
        self.kept[key] = attempt

    def forget(self, key: str, attempt: Attempt) -> None:
        if key not in self.kept or self.kept[key].id != attempt.id:
            raise ConditionFailed
        del self.kept[key]


Once = Callable[..., dict[str, Any]]


@pytest.fixture(params=["memory", "dynamodb"])
def attempts(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryAttempts()
    deployed: Template = request.getfixturevalue("deployed")
    return IdempotencyTable(deployed.tables["IdempotencyTable"].name)


@pytest.fixture
def once(attempts: Any, clock: TestClock) -> Once:
    def once(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        request = Keyed.read(KEY, scope=("user:42", "123", "POST /"), asked=("/", ""))
        return idempotency.once(request, act, attempts=attempts, refuse=_refuse, seconds=29, clock=clock)

    return once


def _refuse(problem: Problem) -> dict[str, Any]:
    return {"statusCode": problem.status, "multiValueHeaders": {}, "body": problem.code}


def answered(body: str = "done") -> dict[str, Any]:
    return {"statusCode": 200, "multiValueHeaders": {}, "body": body}


class CutOff(BaseException):
    """The function was killed."""


def test_a_request_that_arrives_while_the_first_is_processed_is_refused_and_can_retry(once: Once) -> None:
    def meanwhile() -> dict[str, Any]:
        with pytest.raises(RequestInProgress) as refused:
            once(answered)
        assert refused.value.retry_after == 1
        return answered("first")

    assert once(meanwhile)["body"] == "first"
    assert once(answered)["body"] == "first"


def test_an_interrupted_request_is_never_executed_again(once: Once, clock: TestClock) -> None:
    def cut_off() -> dict[str, Any]:
        raise CutOff

    clock.sleep(math.ceil(clock.now()) - clock.now())  # to a whole second: attempts are stored in seconds
    with pytest.raises(CutOff):
        once(cut_off)
    clock.sleep(28)
    with pytest.raises(RequestInProgress):
        once(answered)
    clock.sleep(1)
    with pytest.raises(OutcomeUnknown):
        once(answered)


def test_a_key_is_stored_for_a_day(once: Once, clock: TestClock) -> None:
    once(lambda: answered("first"))
    clock.sleep(86_400 - 1)
    assert once(lambda: answered("second"))["body"] == "first"
    clock.sleep(2)
    assert once(lambda: answered("second"))["body"] == "second"


@pytest.mark.parametrize("refusal", [Conflict("It exists."), None])
def test_a_request_that_takes_longer_than_a_day_leaves_the_key_to_the_next(
    once: Once, clock: TestClock, refusal: Problem | None
) -> None:
    def slow() -> dict[str, Any]:
        clock.sleep(LIFETIME + 1)
        assert once(lambda: answered("second"))["body"] == "second"
        if refusal:
            raise refusal
        return answered("first")

    if refusal:
        with pytest.raises(Conflict):
            once(slow)
    else:
        assert once(slow)["body"] == "first"
    assert once(answered)["body"] == "second"


def test_a_write_whose_answer_was_lost_does_not_count_as_another_request(deployed: Template, storage: Storage) -> None:
    table = IdempotencyTable(deployed.tables["IdempotencyTable"].name)
    attempt = Attempt(id="me", fingerprint="f", until=30, expires_at=100)

    storage.loses_answer = True

    assert table.begin("k", attempt, 0) is None
    assert table.begin("k", replace(attempt, id="another"), 0) == attempt
