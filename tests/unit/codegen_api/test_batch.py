"""Many tasks at a time: `api.run_tasks`."""

import httpx
import pytest

from codegen_api import APIConnectionError, NotFoundError, RateLimitError, RetryPolicy, TaskStatus
from codegen_api._batch import MAX_REFUSED_STARTS
from local.fake_codegen import Trouble

ENDLESS = "Wait. [[fake ending=NEVER]]"
ONCE = RetryPolicy(max_retries=0)


def test_a_batch_runs_all_prompts_and_reports_its_progress(codegen):
    reported, started = [], []

    def script(api):
        def progress(outcome, done, total):
            reported.append((outcome.prompt, done, total))
            started.append(len(codegen.world.creates))

        prompts = [f"Say {n}. [[fake seconds={n * 10} result='{n}']]" for n in (3, 1, 2)]
        outcomes = yield api.run_tasks(prompts, max_concurrent=2, poll_interval=5, on_progress=progress)

        assert [outcome.prompt for outcome in outcomes] == prompts
        assert [outcome.task.result for outcome in outcomes] == ["3", "1", "2"]
        assert [(prompt[4], done, total) for prompt, done, total in reported] == [("1", 1, 3), ("3", 2, 3), ("2", 3, 3)]
        assert started == [2, 3, 3], "at most two tasks run at the same time"

    codegen.play(script)


def test_a_failed_task_does_not_stop_the_others_of_a_batch(codegen):
    def script(api):
        prompts = ["One.", "Two. [[fake ending=FAILED]]", ENDLESS, "Four. [[fake nonsense=1]]", "Five."]
        outcomes = yield api.run_tasks(prompts, timeout=300)

        assert [outcome.task and outcome.task.status.value for outcome in outcomes] == [
            "completed",
            "failed",
            "running",
            None,
            "completed",
        ]
        assert [type(outcome.error).__name__ for outcome in outcomes] == [
            "NoneType",
            "NoneType",
            "TaskTimeoutError",
            "ValidationError",
            "NoneType",
        ]

    codegen.play(script)


def test_a_batch_larger_than_the_rate_limit_starts_every_task(codegen):
    """The Codegen API creates at most ten runs per minute."""

    def script(api):
        outcomes = yield api.run_tasks(["Do it."] * 25, max_concurrent=25)
        assert {outcome.task.status for outcome in outcomes} == {TaskStatus.COMPLETED}
        assert len({outcome.task.id for outcome in outcomes}) == 25

    codegen.play(script, retry=RetryPolicy(max_retries=0))


def test_a_batch_continues_after_failed_polls(codegen):
    def script(api):
        for _ in range(8):
            codegen.world.trouble("get_agent_run", Trouble("cut"))
            codegen.world.trouble("get_agent_run", Trouble("none"))
        (outcome,) = yield api.run_tasks(["Do it. [[fake seconds=100]]"])
        assert outcome.task.is_successful()

    codegen.play(script, retry=RetryPolicy(max_retries=0))


def test_a_batch_gives_up_on_a_task_that_is_always_refused(codegen):
    def script(api):
        codegen.world.trouble("create_agent_run", Trouble("error", status=429), times=None)
        (outcome,) = yield api.run_tasks(["Do it."])
        assert isinstance(outcome.error, RateLimitError)
        assert (outcome.task, outcome.done) == (None, True)
        assert api.metrics.statuses[429] == MAX_REFUSED_STARTS + 1

    codegen.play(script, retry=RetryPolicy(max_retries=0))


@pytest.mark.parametrize("options", [{"max_concurrent": 0}, {"poll_interval": 0}, {"idempotency_key": "mine"}])
def test_invalid_arguments_of_a_batch_are_refused(codegen, options):
    def script(api):
        with pytest.raises(ValueError, match=next(iter(options))):
            yield api.run_tasks(["Do it."], **options)

    codegen.play(script)


def test_an_empty_batch_has_no_outcomes(codegen):
    def script(api):
        assert (yield api.run_tasks([])) == []

    codegen.play(script)


def test_a_batch_runs_five_tasks_at_the_same_time_by_default(codegen):
    started = []

    def script(api):
        prompts = ["Do it. [[fake seconds=8]]"] * 7
        yield api.run_tasks(prompts, on_progress=lambda *_: started.append(len(codegen.world.creates)))
        assert started[:5] == [5] * 5

    codegen.play(script)


@pytest.mark.parametrize(("headers", "pause"), [({"retry-after": "7"}, 7.0), ({}, 10.0)])
def test_a_refused_start_is_repeated_after_retry_after_or_ten_seconds(client, wire, clock, run, headers, pause):
    wire.answers(404, {}).answers(429, {}, headers=headers).answers(429, {}, headers=headers).answers(200, run)
    wire.answers(200, run | {"status": "COMPLETE"})

    def script(api):
        (outcome,) = yield api.run_tasks(["Do it"], poll_interval=3)
        assert outcome.task.is_successful()

    client.play(script, retry=ONCE, pacing=False)
    assert clock.sleeps == [pause, pause, 3.0]


def test_a_start_that_is_refused_while_another_task_runs_is_repeated_at_the_next_poll(client, wire, clock, run):
    ended = run | {"status": "COMPLETE"}
    wire.answers(404, {}).answers(200, run).answers(429, {}, headers={"retry-after": "60"}).answers(200, run)
    wire.answers(200, run | {"id": 8}).answers(200, ended).answers(200, ended | {"id": 8})

    def script(api):
        outcomes = yield api.run_tasks(["One", "Two"], poll_interval=3)
        assert [outcome.task.id for outcome in outcomes] == [7, 8]

    client.play(script, retry=ONCE, pacing=False)
    assert clock.sleeps == [3.0, 3.0]


def test_only_refused_starts_in_a_row_count(client, wire, run):
    wire.answers(404, {})
    for number in (7, 8):
        for _ in range(MAX_REFUSED_STARTS):
            wire.answers(429, {}, headers={"retry-after": "1"})
        wire.answers(200, run | {"id": number}).answers(200, run | {"id": number, "status": "COMPLETE"})

    def script(api):
        outcomes = yield api.run_tasks(["One", "Two"], max_concurrent=1)
        assert [outcome.task.id for outcome in outcomes] == [7, 8]

    client.play(script, retry=ONCE, pacing=False)


@pytest.mark.parametrize(("failures", "given_up"), [(5, False), (6, True)])
def test_a_batch_gives_up_on_a_task_after_six_failed_polls_in_a_row(client, wire, run, failures, given_up):
    wire.answers(404, {}).answers(200, run)
    for _ in range(failures):
        wire.fails(httpx.ReadError)
    if not given_up:
        wire.answers(200, run | {"status": "COMPLETE"})

    def script(api):
        (outcome,) = yield api.run_tasks(["Do it"])
        assert isinstance(outcome.error, APIConnectionError) == given_up
        assert outcome.task.is_complete() != given_up
        assert outcome.done

    client.play(script, retry=ONCE)


def test_a_batch_gives_up_at_once_on_a_task_that_is_gone(client, wire, run):
    wire.answers(404, {}).answers(200, run).answers(404, {"message": "Agent run not found."})

    def script(api):
        (outcome,) = yield api.run_tasks(["Do it"])
        assert isinstance(outcome.error, NotFoundError)
        assert outcome.task.id == 7

    client.play(script)


def test_the_timeout_of_a_batch_starts_with_each_task(codegen):
    def script(api):
        prompts = [f"Do it. [[fake seconds={seconds}]]" for seconds in (8, 8, 20)]
        outcomes = yield api.run_tasks(prompts, max_concurrent=1, timeout=10, poll_interval=1)
        assert [outcome.error is None for outcome in outcomes] == [True, True, False]
        assert str(outcomes[2].error) == f"task {outcomes[2].task.id} is still running after 10 s"

    codegen.play(script)


def test_a_batch_without_a_timeout_waits_for_as_long_as_it_takes(codegen, clock):
    def script(api):
        (outcome,) = yield api.run_tasks(["Do it. [[fake seconds=9000]]"], timeout=None, poll_interval=60)
        assert outcome.task.is_successful()
        assert sum(clock.sleeps) >= 9000

    codegen.play(script)


def test_every_task_of_a_batch_gets_the_options(codegen):
    def script(api):
        yield api.run_tasks(["One.", "Two."], repo_id=456, model="gpt-4")
        assert [create.body for create in codegen.world.creates] == [
            {"prompt": "One.", "repo_id": 456, "model": "gpt-4"},
            {"prompt": "Two.", "repo_id": 456, "model": "gpt-4"},
        ]

    codegen.play(script)
