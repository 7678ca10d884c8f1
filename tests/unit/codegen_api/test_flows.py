"""The flows that larger flows are built from."""

import httpx
import pytest

from codegen_api import APIConnectionError, AuthenticationError, DeadlineExceededError, RetryPolicy
from codegen_api._flows import FailureLimit

ONCE = RetryPolicy(max_retries=0)


def test_only_failures_in_a_row_count():
    limit = FailureLimit(2)
    for _ in range(5):
        limit.count(APIConnectionError("once"))
        limit.count(APIConnectionError("twice"))
        limit.reset()
    limit.count(APIConnectionError("once"))
    limit.count(APIConnectionError("twice"))

    with pytest.raises(APIConnectionError, match="thrice"):
        limit.count(APIConnectionError("thrice"))


def test_a_passed_deadline_is_raised_at_once():
    with pytest.raises(DeadlineExceededError):
        FailureLimit(9).count(DeadlineExceededError("over"))


@pytest.mark.parametrize("failures", [5, 6])
def test_a_wait_continues_after_five_failed_polls_in_a_row_and_gives_up_after_six(client, wire, clock, run, failures):
    wire.answers(404, {}).answers(200, run)
    for _ in range(failures):
        wire.fails(httpx.ReadError)
    if failures == 5:
        wire.answers(200, run | {"status": "COMPLETE"})

    def script(api):
        task = yield api.run_task("Do it")
        if failures == 5:
            yield task.wait_for_completion(poll_interval=3)
            assert task.is_successful()
        else:
            with pytest.raises(APIConnectionError):
                yield task.wait_for_completion(poll_interval=3)

    client.play(script, retry=ONCE)
    assert clock.sleeps == [3.0] * 6


def test_a_wait_does_not_continue_after_an_error_that_is_not_transient(client, wire, run):
    wire.answers(404, {}).answers(200, run).answers(401, {"message": "Invalid token"})

    def script(api):
        task = yield api.run_task("Do it")
        with pytest.raises(AuthenticationError):
            yield task.wait_for_completion()

    client.play(script)


@pytest.mark.parametrize("transient", [{"status": 429}, {"status": 500}, {"content": b"{"}])
def test_a_wait_continues_after_each_kind_of_transient_error(client, wire, run, transient):
    wire.answers(404, {}).answers(200, run).answers(**transient).answers(200, run | {"status": "COMPLETE"})

    def script(api):
        task = yield api.run_task("Do it")
        yield task.wait_for_completion()
        assert task.is_successful()

    client.play(script, retry=ONCE)


def test_an_error_in_the_progress_callback_is_not_taken_for_a_failed_poll(client, wire):
    wire.answers(200, {"service": "codegen-runs"})
    wire.answers(200, {"id": "mr-1", "status": "running", "prompt": "Do it", "requested": 3})

    def fail(multi_run):
        raise APIConnectionError("in the callback")

    def script(api):
        with pytest.raises(APIConnectionError, match="in the callback"):
            yield api.multi_runs.wait("mr-1", on_progress=fail)

    client.play(script)


def test_a_stream_pauses_longer_after_each_failure_and_gives_up_after_eleven_in_a_row(client, wire, clock, run):
    wire.answers(404, {}).answers(200, run)
    for _ in range(11):
        wire.fails(httpx.ReadError)

    def script(api):
        task = yield api.run_task("Do it")
        with pytest.raises(APIConnectionError):
            yield task.stream()

    client.play(script, retry=ONCE)
    assert clock.sleeps == [2.0, 4.0, 8.0, 16.0] + [30.0] * 6


def test_a_stream_pauses_for_retry_after_and_starts_anew_after_a_success(client, wire, clock, run):
    log = {"logs": [], "total_logs": 0}
    wire.answers(404, {}).answers(200, run)
    wire.fails(httpx.ReadError).fails(httpx.ReadError).answers(503, {}, headers={"retry-after": "9"})
    wire.answers(200, run | log).fails(httpx.ReadError)
    wire.answers(200, run | log | {"status": "COMPLETE"}).answers(200, run | {"status": "COMPLETE"})

    def script(api):
        task = yield api.run_task("Do it")
        yield task.stream(poll_interval=5)

    client.play(script, retry=ONCE)
    assert clock.sleeps == [2.0, 4.0, 9.0, 5.0, 2.0]
