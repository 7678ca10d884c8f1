"""Failures of storage: an outage is temporary and can be retried, a misconfigured deployment cannot."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from codegen_runs import aws
from codegen_runs.aws import AwsError
from codegen_runs.aws.outages import outage
from codegen_runs.problems import Problem, StorageUnavailable
from codegen_runs.storage.table import ABSENT, Condition, ConditionFailed, Table, transact
from local.template import Template

TABLE = Table("StarredRunsTable")
KEY = {"pk": "p", "sk": "s"}

READS: list[Callable[[], Any]] = [
    lambda: TABLE.get(KEY),
    lambda: TABLE.get_many([KEY]),
    lambda: TABLE.query(Condition("#pk = :pk", {"pk": "p"})),
]
WRITES: list[Callable[[], Any]] = [
    lambda: TABLE.put(KEY),
    lambda: TABLE.update(KEY, {"note": "n"}),
    lambda: TABLE.delete(KEY),
    lambda: TABLE.take(KEY, ABSENT),
    lambda: transact([("Put", TABLE.put_action(KEY))]),
]


class Failing(httpx.BaseTransport):
    """A service that fails in one way."""

    def __init__(self, failure: httpx.Response | httpx.TransportError) -> None:
        self._failure = failure

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if isinstance(self._failure, httpx.TransportError):
            raise self._failure
        return self._failure


def refusal(code: str, status: int = 400, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more})


@pytest.fixture
def failing(deployed: Template) -> Callable[..., Problem]:
    def failing(failure: httpx.Response | httpx.TransportError, ask: Callable[[], Any]) -> Problem:
        with (
            aws.wire.over(Failing(failure)),
            aws.pause.over(lambda _: None),
            pytest.raises(StorageUnavailable) as failed,
        ):
            ask()
        return failed.value

    return failing


@pytest.mark.parametrize("ask", READS + WRITES)
@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_a_refusal_of_storage_is_not_retryable(
    failing: Callable[..., Problem], ask: Callable[[], Any], code: str
) -> None:
    problem = failing(refusal(code), ask)

    assert (problem.status, problem.retryable, problem.effect_unknown) == (500, False, False)
    assert str(problem) == "The storage refused the operation."


@pytest.mark.parametrize("ask", READS + WRITES)
@pytest.mark.parametrize(
    "failure",
    [
        refusal("ProvisionedThroughputExceededException"),
        refusal("ThrottlingException"),
        refusal("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}]),
        httpx.ConnectError("refused"),
    ],
    ids=["throughput", "throttled", "conflict", "unreachable"],
)
def test_a_call_that_storage_did_not_accept_can_be_retried(
    failing: Callable[..., Problem],
    ask: Callable[[], Any],
    failure: httpx.Response | httpx.TransportError,
) -> None:
    problem = failing(failure, ask)

    assert (problem.status, problem.retryable, problem.retry_after) == (503, True, 1)
    assert not problem.effect_unknown
    unanswered = isinstance(failure, httpx.TransportError)
    assert str(problem) == ("The storage does not respond." if unanswered else "The storage is overloaded.")


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("late"), refusal("InternalServerError", 500)], ids=str)
def test_only_a_write_without_an_answer_may_have_taken_effect(
    failing: Callable[..., Problem], failure: httpx.Response | httpx.TransportError
) -> None:
    assert {failing(failure, ask).effect_unknown for ask in READS} == {False}
    for ask in WRITES:
        problem = failing(failure, ask)
        assert (problem.status, problem.effect_unknown, problem.retryable) == (503, True, False)


@pytest.mark.parametrize(
    "error",
    [AwsError("ThrottlingException", ""), AwsError("InternalServerError", "", status=500), AwsError("Other", "")],
)
def test_an_operation_can_say_what_could_not_be_done(error: AwsError) -> None:
    assert str(outage(error, "Could not start the multi-run.")) == "Could not start the multi-run."


def test_a_failed_condition_is_not_a_failure_of_storage(deployed: Template) -> None:
    with (
        aws.wire.over(Failing(refusal("ConditionalCheckFailedException"))),
        pytest.raises(ConditionFailed),
    ):
        TABLE.put(KEY, ABSENT)
