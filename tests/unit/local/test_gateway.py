"""The local REST API: events, answers, authorizers and its own answers, over a fake Lambda Invoke API."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.functions.client import FunctionError, FunctionsClient, InvocationError
from local.gateway import Gateway
from local.template import Api, Authorizer, Cors, Function, GatewayResponse, Route, TemplateError

Event = dict[str, Any]
NOW = 1_700_000_000.5


class FakeLambda:
    """The Lambda Invoke API. A function is a Python function or its answer; `events` holds the events of each one."""

    def __init__(self, **functions: Any) -> None:
        self.functions = functions
        self.events: dict[str, list[Event]] = {}

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        name = re.fullmatch(r"/2015-03-31/functions/(.+)/invocations", request.url.path)[1]
        event = json.loads(request.content)
        self.events.setdefault(name, []).append(event)
        answer = self.functions[name]
        if callable(answer):
            answer = answer(event)
            if isinstance(answer, Awaitable):
                answer = await answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def failure(error_type: str, message: str) -> httpx.Response:
    return httpx.Response(
        200,
        json={"errorType": error_type, "errorMessage": message},
        headers={"X-Amz-Function-Error": "Unhandled"},
    )


def function(name: str) -> Function:
    return Function(name, name, f"arn:{name}", "code.handler", Path(), (), {}, 3, 128, "python3.13")


def policy(effect: str = "Allow", resource: Any = "*", **context: Any) -> Event:
    return {
        "principalId": "user:1",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}],
        },
        "context": context,
    }


def an_api(
    *paths: str,
    method: str = "GET",
    authorizer: Authorizer | None = None,
    cors: Cors | None = None,
    responses: dict[str, GatewayResponse] | None = None,
    timeout: float = 29.0,
) -> Api:
    """An API in which each path is answered by `Handler`."""
    routes = tuple(Route(method, path, function("Handler"), authorizer, timeout=timeout) for path in paths)
    return Api("Api", "v0", routes, cors, responses or {})


def send(
    api: Api,
    fake: FakeLambda,
    method: str,
    url: str,
    **request: Any,
) -> httpx.Response:
    """Send one request to the gateway of an API."""
    (response,) = send_all(api, fake, [(method, url, request)])
    return response


def send_all(api: Api, fake: FakeLambda, requests: list[tuple[str, str, Event]]) -> list[httpx.Response]:
    async def exchange() -> list[httpx.Response]:
        async with serving(api, fake) as client:
            return await asyncio.gather(*(client.request(method, url, **more) for method, url, more in requests))

    return asyncio.run(exchange())


@asynccontextmanager
async def serving(
    api: Api,
    fake: FakeLambda,
    *,
    clock: Callable[[], float] = lambda: NOW,
    address: str = "127.0.0.1",
    base_path: str = "",
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client, at an address, of the gateway of an API."""
    functions = httpx.AsyncClient(transport=httpx.MockTransport(fake), base_url="http://lambda", timeout=None)
    transport = httpx.ASGITransport(
        Gateway(api, FunctionsClient(functions), clock=clock, base_path=base_path), client=(address, 4000)
    )
    async with functions, httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


OK = {"statusCode": 200, "body": "{}"}
CALLERS = Authorizer("Callers", function("Authorize"), 0, ())

# --- the event -------------------------------------------------------------------------------------------------------


def test_a_function_gets_a_proxy_event():
    fake = FakeLambda(Handler=OK)

    send(
        an_api("/orgs/{org_id}/runs"),
        fake,
        "GET",
        "/orgs/a%2Fb%20c/runs?tag=x&tag=y%20z&empty=",
        headers=[("X-Twice", "1"), ("X-Twice", "2"), ("User-Agent", "curl")],
    )

    (event,) = fake.events["Handler"]
    assert event["resource"] == "/orgs/{org_id}/runs"
    assert event["path"] == "/orgs/a%2Fb%20c/runs"
    assert event["httpMethod"] == "GET"
    assert event["pathParameters"] == {"org_id": "a/b c"}
    assert event["queryStringParameters"] == {"tag": "y z", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"tag": ["x", "y z"], "empty": [""]}
    assert event["headers"]["x-twice"] == "2"
    assert event["multiValueHeaders"]["x-twice"] == ["1", "2"]
    assert (event["headers"]["X-Forwarded-Proto"], event["headers"]["X-Forwarded-Port"]) == ("http", "80")
    assert (event["body"], event["isBase64Encoded"]) == (None, False)


def test_an_event_has_the_request_context():
    fake = FakeLambda(Handler=OK)

    response = send(an_api("/runs/{id}"), fake, "GET", "/runs/7", headers={"User-Agent": "curl"})

    context = fake.events["Handler"][0]["requestContext"]
    assert context["resourcePath"] == "/runs/{id}"
    assert (context["path"], context["stage"], context["httpMethod"]) == ("/runs/7", "v0", "GET")
    assert (context["identity"]["sourceIp"], context["identity"]["userAgent"]) == ("127.0.0.1", "curl")
    assert (context["requestTime"], context["requestTimeEpoch"]) == ("14/Nov/2023:22:13:20 +0000", 1_700_000_000_500)
    assert context["requestId"] == response.headers["x-amzn-RequestId"]
    assert "authorizer" not in context


def test_an_event_names_the_address_of_the_client():
    fake = FakeLambda(Handler=OK)

    async def exchange() -> None:
        async with serving(an_api("/"), fake, address="192.0.2.1") as client:
            await client.get("/")

    asyncio.run(exchange())

    (event,) = fake.events["Handler"]
    assert event["headers"]["X-Forwarded-For"] == "192.0.2.1"
    assert event["requestContext"]["identity"]["sourceIp"] == "192.0.2.1"


def test_parts_that_a_request_lacks_are_null():
    fake = FakeLambda(Handler=OK)

    send(an_api("/health"), fake, "GET", "/health")

    (event,) = fake.events["Handler"]
    absent = ("pathParameters", "queryStringParameters", "multiValueQueryStringParameters", "stageVariables", "body")
    assert [event[name] for name in absent] == [None] * 5


@pytest.mark.parametrize(
    ("body", "expected", "is_base64"),
    [("ä".encode(), "ä", False), (b"\xff\x00", base64.b64encode(b"\xff\x00").decode(), True)],
)
def test_a_body_that_is_not_utf_8_is_base64(body, expected, is_base64):
    fake = FakeLambda(Handler=OK)

    send(an_api("/runs", method="POST"), fake, "POST", "/runs", content=body)

    (event,) = fake.events["Handler"]
    assert (event["body"], event["isBase64Encoded"]) == (expected, is_base64)


# --- routes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/runs/me", "/runs/me", None),
        ("/runs/7", "/runs/{id}", {"id": "7"}),
        ("/runs/7/", "/runs/{id}", {"id": "7"}),
        ("/runs/me/logs", "/runs/{id}/logs", {"id": "me"}),
        ("/runs/7/files/a/b", "/runs/{id}/files/{path+}", {"id": "7", "path": "a/b"}),
        ("/runs/7/other/a", "/runs/{rest+}", {"rest": "7/other/a"}),
        ("/", "/", None),
    ],
)
def test_the_most_specific_resource_answers(path, resource, parameters):
    fake = FakeLambda(Handler=OK)
    paths = ("/runs/{id}/files/{path+}", "/runs/{rest+}", "/runs/{id}", "/runs/{id}/logs", "/runs/me", "/")
    api = an_api(*paths)

    assert send(api, fake, "GET", path).status_code == 200

    (event,) = fake.events["Handler"]
    assert (event["resource"], event["pathParameters"]) == (resource, parameters)


def test_a_route_for_any_method_answers_every_method_without_a_route_of_its_own():
    fake = FakeLambda(Any=OK, Get=OK)
    routes = (Route("ANY", "/", function("Any"), None), Route("GET", "/", function("Get"), None))
    api = Api("Api", "v0", routes, None, {})

    for method in ("GET", "POST", "PUT"):
        assert send(api, fake, method, "/").status_code == 200

    assert {name: len(events) for name, events in fake.events.items()} == {"Get": 1, "Any": 2}


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("POST", "/runs/7"), ("GET", "/runs/"), ("GET", "/runs/7/more")]
)
def test_a_request_without_a_route_gets_the_gateway_response_of_the_template(method, path):
    fake = FakeLambda(Handler=OK)
    response = GatewayResponse(
        404,
        {"Content-Type": "application/problem+json"},
        {
            "application/json": '{"id": "$context.requestId", "at": "$context.path",'
            ' "why": $context.error.messageString}'
        },
    )

    answer = send(an_api("/runs/{id}", responses={"MISSING_AUTHENTICATION_TOKEN": response}), fake, method, path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "id": answer.headers["x-amzn-RequestId"],
        "at": path,
        "why": "Missing Authentication Token",
    }
    assert fake.events == {}


@pytest.mark.parametrize("authorization", ["Bearer token", "bearer x", "Basic dTpw", "AWS4-HMAC-SHA256 Credential=a"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/runs"), ("OPTIONS", "/nothing")])
def test_without_a_route_the_header_authorization_is_read_as_a_signature(authorization, method, path):
    """As API Gateway does: a signature without its parts is refused before it is clear that there is no route."""
    answer = send(an_api("/runs"), FakeLambda(), method, path, headers={"Authorization": authorization})

    assert (answer.status_code, answer.headers["x-amzn-errortype"]) == (403, "IncompleteSignatureException")
    assert answer.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("kind", ["INVALID_SIGNATURE", "DEFAULT_4XX"])
def test_a_gateway_response_answers_a_token_that_is_no_signature(kind):
    response = GatewayResponse(
        404, {"X-Request-Id": "$context.requestId"}, {"application/json": '{"at": "$context.path"}'}
    )

    answer = send(
        an_api("/runs", responses={kind: response}), FakeLambda(), "GET", "/no", headers={"Authorization": "Bearer t"}
    )

    assert (answer.status_code, answer.json()) == (404, {"at": "/no"})
    assert answer.headers["x-request-id"] == answer.headers["x-amzn-requestid"]


def test_a_token_on_an_existing_route_is_left_to_its_authorizer():
    fake = FakeLambda(Authorize=policy(), Handler=OK)

    answer = send(an_api("/runs", authorizer=CALLERS), fake, "GET", "/runs", headers={"Authorization": "Bearer t"})

    assert answer.status_code == 200


def test_without_a_gateway_response_the_answer_has_api_gateways_own_message():
    answer = send(an_api("/runs"), FakeLambda(), "GET", "/nothing")

    assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_a_gateway_response_for_a_class_of_statuses_applies_where_none_is_more_specific():
    default, specific = GatewayResponse(418, {}, {}), GatewayResponse(420, {}, {})
    responses = {"DEFAULT_4XX": default, "ACCESS_DENIED": specific}
    api = an_api("/", authorizer=CALLERS, responses=responses)

    unauthorized = send(api, FakeLambda(Authorize=failure("Exception", "Unauthorized")), "GET", "/")
    denied = send(api, FakeLambda(Authorize=policy("Deny")), "GET", "/")

    assert (unauthorized.status_code, denied.status_code) == (418, 420)


def test_a_body_template_with_an_unknown_variable_is_refused():
    response = GatewayResponse(404, {}, {"application/json": "$context.identity.sourceIp"})

    with pytest.raises(TemplateError, match=r"does not support \$context\.identity\.sourceIp"):
        Gateway(an_api("/runs", responses={"UNAUTHORIZED": response}), FunctionsClient(httpx.AsyncClient()))


def test_a_header_with_an_unknown_variable_is_refused():
    response = GatewayResponse(404, {"X-From": "$context.identity.sourceIp"}, {})

    with pytest.raises(TemplateError, match=r"does not support \$context\.identity\.sourceIp"):
        Gateway(an_api("/runs", responses={"UNAUTHORIZED": response}), FunctionsClient(httpx.AsyncClient()))


# --- the answer ------------------------------------------------------------------------------------------------------


def test_a_client_gets_the_status_headers_and_body_of_the_function():
    answer = send(
        an_api("/runs"),
        FakeLambda(
            Handler={
                "statusCode": 202,
                "headers": {"Location": "/runs/1", "X-Count": 3, "X-New": True},
                "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "Content-Type": ["text/plain"]},
                "body": "grüß",
            }
        ),
        "GET",
        "/runs",
    )

    assert (answer.status_code, answer.content.decode()) == (202, "grüß")
    assert (answer.headers["location"], answer.headers["x-count"], answer.headers["x-new"]) == ("/runs/1", "3", "true")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers.get_list("content-type") == ["text/plain"]


def test_an_answer_without_a_content_type_is_json():
    answer = send(an_api("/"), FakeLambda(Handler={**OK, "headers": {"X-Count": 1}}), "GET", "/")

    assert answer.headers["content-type"] == "application/json"


def test_a_base64_body_is_decoded():
    body = base64.b64encode(b"\x89PNG").decode()
    fake = FakeLambda(Handler={"statusCode": 200, "body": body, "isBase64Encoded": True})

    assert send(an_api("/"), fake, "GET", "/").content == b"\x89PNG"


@pytest.mark.parametrize("status", [204, 304])
def test_a_204_or_304_has_no_body(status):
    answer = send(an_api("/"), FakeLambda(Handler={"statusCode": status, "body": "not sent"}), "GET", "/")

    assert (answer.status_code, answer.content) == (status, b"")


@pytest.mark.parametrize("name", ["headers", "multiValueHeaders"])
def test_an_answer_has_the_type_json_unless_the_function_sends_null_as_its_type(name):
    null = {"headers": {"Content-Type": None}, "multiValueHeaders": {"Content-Type": [None]}}[name]

    typed = send(an_api("/"), FakeLambda(Handler={"statusCode": 204}), "GET", "/")
    untyped = send(an_api("/"), FakeLambda(Handler={"statusCode": 204, name: null}), "GET", "/")

    assert (typed.headers["content-type"], "content-type" in untyped.headers) == ("application/json", False)


@pytest.mark.parametrize("name", ["Authorization", "Date", "Server", "WWW-Authenticate"])
def test_a_header_that_api_gateway_reserves_is_renamed(name):
    answer = send(an_api("/"), FakeLambda(Handler={**OK, "headers": {name: "value"}}), "GET", "/")

    assert answer.headers[f"x-amzn-remapped-{name}"] == "value"
    assert answer.headers.get(name) != "value"


@pytest.mark.parametrize("name", ["Connection", "Content-Length", "Transfer-Encoding"])
def test_a_header_about_the_connection_is_api_gateways_own(name):
    answer = send(an_api("/"), FakeLambda(Handler={**OK, "headers": {name: "999"}}), "GET", "/")

    assert "999" not in answer.headers.values()
    assert answer.headers["content-length"] == "2"


def test_an_answer_to_head_has_the_length_that_the_function_says_and_no_body():
    fake = FakeLambda(Handler={"statusCode": 200, "headers": {"Content-Length": "17"}, "body": ""})

    answer = send(an_api("/", method="ANY"), fake, "HEAD", "/")

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "17", b"")


def test_an_answer_to_head_has_no_body_although_the_function_sends_one():
    answer = send(an_api("/", method="ANY"), FakeLambda(Handler=OK), "HEAD", "/")

    assert (answer.status_code, answer.content) == (200, b"")


def test_an_error_of_the_gateway_has_no_body_in_answer_to_head():
    answer = send(an_api("/runs"), FakeLambda(), "HEAD", "/nothing")

    assert (answer.status_code, answer.content) == (403, b"")


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "text",
        {"body": "no status"},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "headers": ["not", "a", "mapping"]},
        {"statusCode": 200, "unknown": 1},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
    ],
)
def test_a_malformed_answer_is_a_bad_gateway(malformed):
    answer = send(an_api("/"), FakeLambda(Handler=lambda _: httpx.Response(200, json=malformed)), "GET", "/")

    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})


def test_a_function_that_fails_is_a_bad_gateway_with_the_templates_body():
    response = GatewayResponse(None, {}, {"application/json": '{"code": "$context.error.responseType"}'})
    api = an_api("/", responses={"DEFAULT_5XX": response})

    answer = send(api, FakeLambda(Handler=failure("KeyError", "'X'")), "GET", "/")

    assert (answer.status_code, answer.json()) == (502, {"code": "DEFAULT_5XX"})


def test_a_function_that_takes_too_long_is_a_gateway_timeout():
    fake = FakeLambda(Handler=lambda _: asyncio.Event().wait())

    assert send(an_api("/", timeout=0.01), fake, "GET", "/").status_code == 504


@pytest.mark.parametrize("refusal", [httpx.Response(404, json={}), httpx.ConnectError("refused")])
def test_a_function_that_cannot_be_invoked_is_a_bad_gateway(refusal):
    def answer(_: Event) -> httpx.Response:
        if isinstance(refusal, Exception):
            raise refusal
        return refusal

    assert send(an_api("/"), FakeLambda(Handler=answer), "GET", "/").status_code == 502


def test_requests_are_handled_concurrently():
    second_came = asyncio.Event()

    async def answer(event: Event) -> Event:
        if event["path"] == "/2":
            second_came.set()
        await second_came.wait()
        return OK

    answers = send_all(an_api("/{id}"), FakeLambda(Handler=answer), [("GET", "/1", {}), ("GET", "/2", {})])

    assert [answer.status_code for answer in answers] == [200, 200]


# --- streamed answers ------------------------------------------------------------------------------------------------


class StreamingFunctions:
    """Functions that stream. A part is bytes, an exception to raise, or an awaitable to wait for."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    async def stream(self, name: str, event: Event) -> AsyncGenerator[bytes, None]:
        for part in self.parts:
            await asyncio.sleep(0)  # as a network does, give a time limit the chance to end this
            if isinstance(part, Exception):
                raise part
            if isinstance(part, bytes):
                yield part
            else:
                await part


def stream(*parts: Any, timeout: float = 29.0) -> httpx.Response:
    """Send a request to a route whose function streams these parts."""
    route = Route("GET", "/", function("Handler"), None, streams=True, timeout=timeout)

    async def exchange() -> httpx.Response:
        app = Gateway(Api("Api", "v0", (route,), None, {}), StreamingFunctions(*parts), clock=lambda: NOW)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
            return await client.get("/")

    return asyncio.run(exchange())


PRELUDE = json.dumps({"statusCode": 201, "headers": {"X-Run": "7"}}).encode()
END = b"\0" * 8


@pytest.mark.parametrize(
    "parts",
    [
        (PRELUDE + END + b"one", b"two"),
        (PRELUDE, END, b"onetwo"),
        (PRELUDE[:9], PRELUDE[9:] + END[:3], END[3:], b"onetwo"),
    ],
    ids=["with the body", "alone", "in pieces"],
)
def test_a_streamed_answer_has_the_status_and_headers_of_its_prelude(parts):
    answer = stream(*parts)

    assert (answer.status_code, answer.headers["x-run"], answer.content) == (201, "7", b"onetwo")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    "parts",
    [
        (FunctionError("Handler", "KeyError", "'X'"),),
        (InvocationError("Handler", "no connection"),),
        (PRELUDE,),
        (b"no JSON" + END,),
    ],
    ids=["function fails", "lambda fails", "too short", "malformed"],
)
def test_a_stream_that_fails_before_its_body_is_a_bad_gateway(parts):
    assert stream(*parts).status_code == 502


def test_a_stream_that_fails_in_its_body_keeps_its_status_and_ends():
    answer = stream(PRELUDE + END + b"one", FunctionError("Handler", "KeyError", "'X'"))

    assert (answer.status_code, answer.content) == (201, b"one")


def test_a_stream_that_does_not_start_in_time_is_a_gateway_timeout():
    assert stream(asyncio.Event().wait(), timeout=0.01).status_code == 504


def test_a_stream_ends_when_its_route_times_out():
    answer = stream(PRELUDE + END + b"one", asyncio.Event().wait(), b"two", timeout=0.05)

    assert (answer.status_code, answer.content) == (201, b"one")


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "status"), [(10 * 1024 * 1024, 200), (10 * 1024 * 1024 + 1, 413)])
def test_a_body_over_ten_megabytes_is_too_large(size, status):
    fake = FakeLambda(Handler=OK)

    assert send(an_api("/", method="POST"), fake, "POST", "/", content=bytes(size)).status_code == status
    assert ("Handler" in fake.events) == (status == 200)


def test_an_event_that_exceeds_lambdas_limit_is_too_large():
    fake = FakeLambda(Handler=httpx.Response(413, json={}))

    assert send(an_api("/"), fake, "GET", "/").status_code == 413


# --- authorizers -----------------------------------------------------------------------------------------------------


def test_an_authorizer_sees_the_request_without_its_body():
    fake = FakeLambda(Authorize=policy(), Handler=OK)

    send(an_api("/runs/{id}", method="POST", authorizer=CALLERS), fake, "POST", "/runs/7?a=b", content=b"secret")

    (event,) = fake.events["Authorize"]
    assert event["type"] == "REQUEST"
    assert event["methodArn"] == "arn:aws:execute-api:us-east-1:123456789012:Api/v0/POST/runs/7"
    assert event["pathParameters"] == {"id": "7"}
    assert event["queryStringParameters"] == {"a": "b"}
    assert event["multiValueHeaders"]["host"] == ["api"]
    assert "body" not in event


def test_a_function_gets_the_authorizers_context_as_text():
    fake = FakeLambda(Authorize=policy(user_id=7, admin=True, name="ada"), Handler=OK)

    send(an_api("/", authorizer=CALLERS), fake, "GET", "/")

    authorizer = fake.events["Handler"][0]["requestContext"]["authorizer"]
    assert authorizer == {"principalId": "user:1", "user_id": "7", "admin": "true", "name": "ada"}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (failure("Exception", "Unauthorized"), 401),
        (policy("Deny"), 403),
        (policy("Allow", "arn:aws:execute-api:*:*:*/v0/DELETE/*"), 403),
        (failure("KeyError", "'TABLE'"), 500),
        ({"principalId": "user:1"}, 500),
        (policy(roles=["not", "a", "scalar"]), 500),
        ({**policy(), "policyDocument": {"Statement": [{"Effect": "Allow"}]}}, 500),
    ],
)
def test_a_request_that_the_authorizer_does_not_allow_never_reaches_the_function(answer, status):
    fake = FakeLambda(Authorize=answer, Handler=OK)

    assert send(an_api("/runs", authorizer=CALLERS), fake, "GET", "/runs").status_code == status
    assert "Handler" not in fake.events


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("UNAUTHORIZED", failure("Exception", "Unauthorized")),
        ("ACCESS_DENIED", policy("Deny")),
        ("AUTHORIZER_FAILURE", failure("KeyError", "'TABLE'")),
        ("AUTHORIZER_CONFIGURATION_ERROR", None),
    ],
)
def test_each_refusal_has_its_own_gateway_response(kind, answer):
    response = GatewayResponse(418, {}, {"application/json": '"$context.error.responseType"'})
    api = an_api("/", authorizer=CALLERS, responses={kind: response})

    refused = send(api, FakeLambda(Authorize=lambda _: answer or httpx.Response(200, json=None)), "GET", "/")

    assert (refused.status_code, refused.json()) == (418, kind)


def test_the_answer_to_a_denied_request_can_contain_the_authorizers_context():
    template = '{"code": "$context.authorizer.refused", "other": "$context.authorizer.other"}'
    api = an_api(
        "/", authorizer=CALLERS, responses={"ACCESS_DENIED": GatewayResponse(401, {}, {"application/json": template})}
    )

    refused = send(api, FakeLambda(Authorize=policy("Deny", refused="token_expired")), "GET", "/")

    assert (refused.status_code, refused.json()) == (401, {"code": "token_expired", "other": ""})


@pytest.mark.parametrize("base_path", ["/codegen", "/a/b"])
def test_a_base_path_precedes_the_paths_of_an_event_and_not_its_route(base_path):
    fake = FakeLambda(Authorize=policy(), Handler=OK)

    async def exchange():
        async with serving(an_api("/runs/{id}", authorizer=CALLERS), fake, base_path=base_path) as client:
            return await client.get(f"{base_path}/runs/7"), await client.get("/runs/7")

    inside, outside = asyncio.run(exchange())

    (event,), (asked,) = fake.events["Handler"], fake.events["Authorize"]
    assert (inside.status_code, outside.status_code, outside.json()) == (200, 403, {"message": "Forbidden"})
    assert (event["resource"], event["pathParameters"]) == ("/runs/{id}", {"id": "7"})
    assert event["path"] == event["requestContext"]["path"] == f"{base_path}/runs/7"
    assert asked["methodArn"].endswith("/v0/GET/runs/7")


def test_an_authorizer_is_called_once_until_its_cache_expires():
    authorizer = Authorizer("Callers", function("Authorize"), 300, ("Authorization",))
    fake, now = FakeLambda(Authorize=policy(), Handler=OK), [NOW]

    async def exchange() -> list[int]:
        asked = []
        async with serving(an_api("/", authorizer=authorizer), fake, clock=lambda: now[0]) as client:
            for token, later in (("a", 0), ("a", 299), ("b", 0), ("a", 1)):
                now[0] += later
                await client.get("/", headers={"Authorization": token})
                asked.append(len(fake.events["Authorize"]))
        return asked

    assert asyncio.run(exchange()) == [1, 1, 2, 3]


def test_an_authorizer_without_a_cache_is_called_for_each_request():
    fake = FakeLambda(Authorize=policy(), Handler=OK)
    authorizer = Authorizer("Callers", function("Authorize"), 0, ("Authorization",))

    async def exchange() -> None:
        async with serving(an_api("/", authorizer=authorizer), fake) as client:
            for _ in range(2):
                await client.get("/", headers={"Authorization": "a"})

    asyncio.run(exchange())

    assert len(fake.events["Authorize"]) == 2


def test_a_cached_policy_is_applied_to_each_request():
    authorizer = Authorizer("Callers", function("Authorize"), 300, ("Authorization",))
    fake = FakeLambda(Authorize=policy("Allow", "*/GET/a"), Handler=OK)
    headers = {"headers": {"Authorization": "x"}}

    async def exchange() -> list[int]:
        async with serving(an_api("/a", "/b", authorizer=authorizer), fake) as client:
            return [(await client.get(path, **headers)).status_code for path in ("/a", "/b")]

    assert asyncio.run(exchange()) == [200, 403]
    assert len(fake.events["Authorize"]) == 1


def test_a_request_without_the_identity_header_is_unauthorized_without_a_call():
    authorizer = Authorizer("Callers", function("Authorize"), 300, ("Authorization",))
    fake = FakeLambda(Authorize=policy(), Handler=OK)

    assert send(an_api("/", authorizer=authorizer), fake, "GET", "/").status_code == 401
    assert fake.events == {}


# --- CORS ------------------------------------------------------------------------------------------------------------


def test_a_preflight_is_answered_from_the_template_without_a_call():
    fake = FakeLambda(Authorize=policy("Deny"), Handler=OK)
    cors = Cors("https://ui.example", "GET,OPTIONS", "Authorization", "600")

    answer = send(an_api("/runs/{id}", authorizer=CALLERS, cors=cors), fake, "OPTIONS", "/runs/7")

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://ui.example"
    assert answer.headers["access-control-allow-methods"] == "GET,OPTIONS"
    assert answer.headers["access-control-allow-headers"] == "Authorization"
    assert answer.headers["access-control-max-age"] == "600"
    assert fake.events == {}


def test_a_preflight_of_an_unknown_resource_is_refused():
    cors = Cors("*", "GET", None, None)

    assert send(an_api("/runs", cors=cors), FakeLambda(), "OPTIONS", "/nothing").status_code == 403
