"""Calls of AWS: which are retried, and how an error is raised."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import httpx
import pytest
from botocore.awsrequest import AWSResponse
from botocore.handlers import add_recursion_detection_header
from botocore.retries.standard import (
    RetryContext,
    ThrottledRetryableChecker,
    ThrottlingStatusCodeChecker,
    TransientRetryableChecker,
)

from codegen_runs import aws
from codegen_runs.aws.calls import AwsError, Service, Unanswered
from tests.support.aws import ENVIRONMENT

Answer = httpx.Response | httpx.TransportError


class Raw:
    """An empty body, as botocore reads it."""

    def stream(self) -> Iterator[bytes]:
        return iter(())


@cache
def connections_client() -> Any:
    session = botocore.session.get_session()
    session.set_credentials("testing", "testing")
    return session.create_client("apigatewaymanagementapi", "us-east-1", endpoint_url="https://connections.test/v0")


class Answers(httpx.BaseTransport):
    """AWS as a list of its answers."""

    def __init__(self) -> None:
        self.left: list[Answer] = []
        self.waits: list[float] = []
        """Seconds before each repeated call."""
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.left.pop(0)
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    answers = Answers()
    with aws.wire.over(answers), aws.pause.over(answers.waits.append):
        yield answers


def refusal(code: str, status: int = 400, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "No.", **more})


@pytest.mark.parametrize(
    "trouble",
    [
        refusal("ProvisionedThroughputExceededException"),
        refusal("ThrottlingException"),
        refusal("TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": "ThrottlingError"}]),
        refusal(
            "TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}, {"Code": "None"}]
        ),
        refusal("TransactionConflictException"),
        refusal("LimitExceededException"),
        refusal("RequestTimeout"),
        refusal("InternalServerError", 500),
        httpx.Response(429, content=b"Too Many Requests"),
        httpx.Response(503, content=b"<html>Service Unavailable</html>"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("too slow"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_temporary_failure_is_retried_after_a_wait(answers: Answers, trouble: Answer) -> None:
    answers.left = [trouble, trouble, httpx.Response(200, content=b"done")]

    assert Service("dynamodb").call("POST", "/", {}) == b"done"
    assert len(answers.waits) == 2


def test_the_waits_are_random_below_a_limit_that_doubles(answers: Answers) -> None:
    for _ in range(40):
        answers.left = [*(refusal("ThrottlingException") for _ in range(3)), httpx.Response(200, content=b"done")]
        Service("dynamodb").call("POST", "/", {})

    # Among 40 waits, one is in the upper half.
    for number, limit in enumerate((0.05, 0.1, 0.2)):
        assert limit / 2 < max(answers.waits[number::3]) <= limit
        assert min(answers.waits[number::3]) < limit / 2


def test_a_conflict_is_not_retried_if_a_condition_failed_as_well(answers: Answers) -> None:
    reasons = [{"Code": "ConditionalCheckFailed"}, {"Code": "TransactionConflict"}]
    answers.left = [refusal("TransactionCanceledException", CancellationReasons=reasons)]
    with pytest.raises(AwsError, match="TransactionCanceledException"):
        Service("dynamodb").call("POST", "/", {})

    assert not answers.waits


@pytest.mark.parametrize(
    "code", ["ConditionalCheckFailedException", "ValidationException", "AccessDeniedException", "TaskTimedOut"]
)
def test_a_permanent_refusal_is_not_retried(answers: Answers, code: str) -> None:
    answers.left = [refusal(code)]
    with pytest.raises(AwsError) as refused:
        Service("dynamodb").call("POST", "/", {})

    assert (refused.value.code, refused.value.status, refused.value.throttled) == (code, 400, False)


def test_the_attempts_have_a_limit(answers: Answers) -> None:
    answers.left = [refusal("ThrottlingException") for _ in range(4)]
    with pytest.raises(AwsError, match="ThrottlingException: No") as refused:
        Service("dynamodb").call("POST", "/", {})

    assert refused.value.throttled
    assert len(answers.waits) == 3


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("too far"), False),
        (httpx.PoolTimeout("too busy"), False),
        (httpx.ReadTimeout("too slow"), True),
        (httpx.WriteError("cut"), True),
        (httpx.RemoteProtocolError("closed"), True),
    ],
)
def test_a_lost_answer_says_whether_the_request_may_have_been_sent(
    answers: Answers, fault: httpx.TransportError, sent: bool
) -> None:
    answers.left = [fault]
    with pytest.raises(Unanswered) as unanswered:
        Service("execute-api", attempts=1).call("POST", "/", {})

    assert unanswered.value.sent is sent


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (refusal("ResourceNotFoundException"), "ResourceNotFoundException"),
        (httpx.Response(400, json={"__type": "ExecutionDoesNotExist"}), "ExecutionDoesNotExist"),
        (httpx.Response(410, headers={"x-amzn-errortype": "GoneException:http://x"}), "GoneException"),
        (httpx.Response(403, json={"message": "no type"}), "HTTP 403"),
        (httpx.Response(403, json=["no", "object"]), "HTTP 403"),
        (httpx.Response(400, content=b"<html>"), "HTTP 400"),
    ],
)
def test_an_error_is_read_in_every_protocol(answers: Answers, response: httpx.Response, code: str) -> None:
    answers.left = [response]
    with pytest.raises(AwsError) as refused:
        Service("dynamodb").call("POST", "/", {})

    assert refused.value.code == code


@pytest.mark.parametrize("name", ["message", "Message"])
def test_the_message_of_an_error_is_read_in_both_spellings(answers: Answers, name: str) -> None:
    answers.left = [httpx.Response(400, json={"__type": "ValidationException", name: "One parameter is missing."})]
    with pytest.raises(AwsError, match=r"^ValidationException: One parameter is missing\.$"):
        Service("dynamodb").call("POST", "/", {})


def test_a_cancelled_transaction_has_the_code_of_each_action(answers: Answers) -> None:
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]
    answers.left = [refusal("TransactionCanceledException", CancellationReasons=reasons)]
    with pytest.raises(AwsError) as refused:
        Service("dynamodb").call("POST", "/", {})

    assert refused.value.reasons == {"None", "ConditionalCheckFailed"}


def test_a_repeated_transaction_is_executed_once(answers: Answers) -> None:
    answers.left = [httpx.ReadTimeout("too slow"), httpx.Response(200, content=b"{}"), httpx.Response(200)]
    aws.dynamodb().transact_write_items(TransactItems=[])
    aws.dynamodb().transact_write_items(TransactItems=[])

    first, again, other = (request.content for request in answers.requests)
    assert first == again != other


CODES = sorted(
    {
        *TransientRetryableChecker._TRANSIENT_ERROR_CODES,
        *ThrottledRetryableChecker._THROTTLED_ERROR_CODES,
        *(
            error.name
            for service in ("dynamodb", "stepfunctions", "secretsmanager", "lambda", "apigatewaymanagementapi")
            for error in botocore.session.get_session().get_service_model(service).error_shapes
        ),
    }
)


@pytest.mark.parametrize("status", [400, 403, 409, 410, 413, 429, 500, 501, 502, 503, 504, 505])
def test_the_errors_that_are_retried_are_those_of_botocore_and_conflicts(answers: Answers, status: int) -> None:
    checks = [TransientRetryableChecker(), ThrottledRetryableChecker(), ThrottlingStatusCodeChecker()]
    for code in CODES:
        context = RetryContext(
            attempt_number=1,
            http_response=AWSResponse("https://aws.test", status, {}, None),
            parsed_response={"Error": {"Code": code}},
        )
        # The models mark the first one alone, and botocore does not repeat the second one, which had no effect.
        known = code in ("ReplicatedWriteConflictException", "TransactionConflictException")
        expected = known or any(check.is_retryable(context) for check in checks)

        assert AwsError(code, "No.", status=status).temporary is expected, code


@pytest.mark.parametrize(
    "trace_id",
    ["Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a:0", "Root=1;é \n", None],
)
@pytest.mark.parametrize("in_lambda", [True, False])
def test_a_call_has_the_trace_header_of_botocore(
    answers: Answers, trace_id: str | None, in_lambda: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_X_AMZN_TRACE_ID": trace_id, "AWS_LAMBDA_FUNCTION_NAME": "F" if in_lambda else None}.items():
        if value:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    answers.left = [httpx.Response(200, content=b"{}")]
    aws.dynamodb().list_tables()
    expected: dict[str, Any] = {"headers": {}}
    add_recursion_detection_header(expected)

    assert answers.requests[0].headers.get("X-Amzn-Trace-Id") == expected["headers"].get("X-Amzn-Trace-Id")
    assert "x-amzn-trace-id" not in answers.requests[0].headers["authorization"]


@pytest.mark.parametrize(
    ("variable", "value"), [("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_ACCESS_KEY_ID", "")], ids=["FIPS", "credentials"]
)
def test_an_environment_that_allows_no_call_is_an_error_that_is_not_retried(
    answers: Answers, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    with pytest.raises(AwsError, match=variable) as refused:
        Service("dynamodb").call("POST", "/", {})

    assert not refused.value.temporary
    assert not answers.waits
    assert not answers.requests


@pytest.mark.parametrize("connection_id", ["..", ".", "a/b", "a b", "%2e%2e", "a+b=", "é", "?x#y", "//"])
def test_the_path_of_a_connection_is_that_of_botocore(answers: Answers, connection_id: str) -> None:
    sent: list[Any] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse("", 200, {}, Raw())

    client = connections_client()
    client.meta.events.register("before-send", answer)
    client.delete_connection(ConnectionId=connection_id)
    client.meta.events.unregister("before-send", answer)
    answers.left = [httpx.Response(200)]
    aws.connections("https://connections.test/v0", 1.0).delete_connection(ConnectionId=connection_id)

    assert str(answers.requests[0].url) == str(httpx.URL(sent[0].url))
