"""Calls of AWS: which are retried, and how an error is raised."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from codegen_runs import aws
from codegen_runs.aws.calls import AwsError, Service, Unanswered
from tests.support.aws import ENVIRONMENT

Answer = httpx.Response | httpx.TransportError


class Answers(httpx.BaseTransport):
    """AWS as a list of its answers."""

    def __init__(self) -> None:
        self.left: list[Answer] = []
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
    with aws.wire.over(answers):
        yield answers


def refusal(code: str, status: int = 400, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "No.", **more})


class Slept:
    """The waits, in seconds."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "dynamodb.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", "dynamodb.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_service_is_called_in_the_region_of_the_function(
    answers: Answers, region: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    answers.left = [httpx.Response(200, content=b"{}")]
    Service("dynamodb").call("POST", "/", {})

    assert answers.requests[0].url.host == host


def test_the_endpoint_url_of_the_environment_takes_precedence(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    answers.left = [httpx.Response(200, content=b"{}")]
    Service("execute-api", "https://connections.test/v0").call("POST", "/@connections/a", {})

    assert str(answers.requests[0].url) == "http://127.0.0.1:4566/@connections/a"


@pytest.mark.parametrize(
    "trouble",
    [
        refusal("ProvisionedThroughputExceededException"),
        refusal("ThrottlingException"),
        refusal("TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": "ThrottlingError"}]),
        refusal("InternalServerError", 500),
        httpx.Response(503, content=b"<html>Service Unavailable</html>"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("too slow"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_a_temporary_failure_is_retried_after_a_wait(answers: Answers, trouble: Answer) -> None:
    slept = Slept()
    answers.left = [trouble, trouble, httpx.Response(200, content=b"done")]

    assert Service("dynamodb", sleep=slept).call("POST", "/", {}) == b"done"
    assert len(slept.seconds) == 2


def test_the_waits_are_random_below_a_limit_that_doubles(answers: Answers) -> None:
    slept = Slept()
    for _ in range(40):
        answers.left = [*(refusal("ThrottlingException") for _ in range(3)), httpx.Response(200, content=b"done")]
        Service("dynamodb", sleep=slept).call("POST", "/", {})

    # Among 40 waits, one is in the upper half.
    for number, limit in enumerate((0.05, 0.1, 0.2)):
        assert limit / 2 < max(slept.seconds[number::3]) <= limit
        assert min(slept.seconds[number::3]) < limit / 2


@pytest.mark.parametrize(
    "code", ["ConditionalCheckFailedException", "ValidationException", "AccessDeniedException", "TaskTimedOut"]
)
def test_a_permanent_refusal_is_not_retried(answers: Answers, code: str) -> None:
    answers.left = [refusal(code)]
    with pytest.raises(AwsError) as refused:
        Service("dynamodb", sleep=Slept()).call("POST", "/", {})

    assert (refused.value.code, refused.value.status, refused.value.throttled) == (code, 400, False)


def test_the_attempts_have_a_limit(answers: Answers) -> None:
    slept = Slept()
    answers.left = [refusal("ThrottlingException") for _ in range(4)]
    with pytest.raises(AwsError, match="ThrottlingException: No") as refused:
        Service("dynamodb", sleep=slept).call("POST", "/", {})

    assert refused.value.throttled
    assert len(slept.seconds) == 3


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
