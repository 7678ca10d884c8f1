"""Tasks with the fake Codegen API, for both clients."""

import pickle

import pytest

from codegen_api import (
    APIConnectionError,
    CodegenAPIError,
    DeadlineExceededError,
    NotFoundError,
    NotSupportedError,
    RetryPolicy,
    TaskStatus,
    TaskTimeoutError,
)
from local.fake_codegen import Trouble

QUICK = "Explain it. [[fake seconds=20 steps=4 result='It is simple.']]"
ENDLESS = "Wait. [[fake ending=NEVER]]"


def test_a_task_runs_until_it_has_a_result(codegen, clock):
    def script(api):
        task = yield api.run_task(QUICK)
        assert (task.status, task.is_complete(), task.progress) == (TaskStatus.RUNNING, False, None)
        assert (task.prompt, task.result, task.error) == (QUICK, None, None)

        waited = yield task.wait_for_completion(timeout=60, poll_interval=10)

        assert waited is task
        assert (task.status, task.raw_status, task.progress) == (TaskStatus.COMPLETED, "COMPLETE", 100)
        assert (task.is_complete(), task.is_successful(), task.is_failed()) == (True, True, False)
        assert (task.result, task.error, task.updated_at) == ("It is simple.", None, None)
        assert task.created_at.tzinfo
        assert str(task.id) in task.web_url
        assert str(task.id) in repr(task)

    codegen.play(script)
    assert clock.sleeps == [10.0, 10.0]


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("COMPLETE", "completed"),
        ("FAILED", "failed"),
        ("ERROR", "failed"),
        ("TIMEOUT", "timed_out"),
        ("MAX_ITERATIONS_REACHED", "incomplete"),
        ("OUT_OF_TOKENS", "incomplete"),
        ("CANCELLED", "cancelled"),
    ],
)
def test_every_final_word_of_codegen_is_a_final_status(codegen, ending, status):
    def script(api):
        task = yield api.run_task(f"Do it. [[fake seconds=1 ending={ending}]]")
        yield task.wait_for_completion(poll_interval=1)

        assert (task.status, task.raw_status) == (status, ending)
        assert task.is_successful() == (status == "completed")
        assert task.is_failed() == (status in ("failed", "timed_out", "incomplete"))
        assert (task.error is not None) == task.is_failed()

    codegen.play(script)


def test_the_error_of_a_failed_task_comes_from_its_log(codegen):
    def script(api):
        task = yield api.run_task("Do it. [[fake seconds=1 ending=ERROR]]")
        yield task.wait_for_completion(poll_interval=1)
        assert task.error == "The run ended with ERROR."

        codegen.world.trouble("get_agent_run_logs", Trouble("error"), times=None)
        found = yield api.get_task(task.id)
        assert found.error == "The run ended with status ERROR."

    codegen.play(script)


def test_a_follow_up_makes_a_failed_task_run_again(codegen):
    def script(api):
        task = yield api.run_task("Do it. [[fake seconds=1 ending=ERROR]]")
        yield task.wait_for_completion(poll_interval=1)
        yield api.runs.follow_up(task.id, "Once more. [[fake seconds=1 ending=FAILED]]")
        yield task.refresh()
        assert (task.status, task.error) == (TaskStatus.RUNNING, None)
        yield task.wait_for_completion(poll_interval=1)
        assert task.error == "The run ended with FAILED."

    codegen.play(script)


@pytest.mark.parametrize(("word", "status"), [("PAUSED", "paused"), ("SOMETHING_NEW", "unknown")])
def test_an_unknown_status_is_not_final(codegen, word, status):
    def script(api):
        task = yield api.run_task(f"Do it. [[fake seconds=1 ending={word}]]")
        with pytest.raises(TaskTimeoutError):
            yield task.wait_for_completion(timeout=30)
        assert (task.status, task.raw_status) == (status, word)

    codegen.play(script)


def test_a_wait_that_times_out_can_be_repeated(codegen, clock):
    def script(api):
        task = yield api.run_task(ENDLESS)
        with pytest.raises(TimeoutError, match=f"task {task.id} is still running after 12 s") as caught:
            yield task.wait_for_completion(timeout=12, poll_interval=5)

        assert isinstance(caught.value, CodegenAPIError)
        assert caught.value.status_code is None
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        assert clock.sleeps == [5.0, 5.0, 2.0]
        codegen.world.finish(task.id, result="At last.")
        yield task.wait_for_completion()
        assert task.result == "At last."

    codegen.play(script)


def test_a_wait_polls_once_with_a_timeout_of_zero(codegen, clock):
    def script(api):
        task = yield api.run_task(QUICK)
        with pytest.raises(TaskTimeoutError):
            yield task.wait_for_completion(timeout=0)
        clock.advance(60)
        yield task.wait_for_completion(timeout=0)
        assert task.is_successful()
        assert clock.sleeps == []

    codegen.play(script)


@pytest.mark.parametrize("interval", [0, -1])
def test_a_poll_interval_of_zero_or_less_is_refused(codegen, interval):
    def script(api):
        task = yield api.run_task(ENDLESS)
        with pytest.raises(ValueError, match="poll_interval"):
            yield task.wait_for_completion(poll_interval=interval)

    codegen.play(script)


def test_a_wait_continues_after_failed_polls(codegen):
    def script(api):
        task = yield api.run_task(QUICK)
        codegen.world.trouble("get_agent_run", Trouble("error", status=500), times=3)
        yield task.wait_for_completion()
        assert task.is_successful()

    codegen.play(script, retry=RetryPolicy(max_retries=0))


def test_a_wait_gives_up_when_every_poll_fails(codegen):
    def script(api):
        task = yield api.run_task(QUICK)
        codegen.world.trouble("get_agent_run", Trouble("cut"), times=None)
        with pytest.raises(APIConnectionError):
            yield task.wait_for_completion()

    codegen.play(script, retry=RetryPolicy(max_retries=0))


def test_a_wait_ends_at_the_deadline_of_its_client(codegen, clock):
    def script(api):
        task = yield api.with_deadline(7).run_task(ENDLESS)
        with pytest.raises(DeadlineExceededError):
            yield task.wait_for_completion(poll_interval=5)
        assert clock.sleeps == [5.0, 2.0]

    codegen.play(script)


def test_a_task_can_be_read_and_waited_for_by_its_id(codegen):
    def script(api):
        task = yield api.run_task(QUICK)

        found = yield api.get_task(str(task.id))
        assert (found.id, found.status, found.prompt) == (task.id, TaskStatus.RUNNING, None)
        waited = yield api.wait_for_task(task.id, timeout=60, poll_interval=1)
        assert waited.result == "It is simple."
        yield found.refresh()
        assert found.result == waited.result
        with pytest.raises(NotFoundError):
            yield api.get_task(99_999_999)

    codegen.play(script)


def test_with_the_codegen_api_a_cancel_is_a_ban_that_must_be_allowed(codegen):
    def script(api):
        task = yield api.run_task("Fix it. [[fake ending=NEVER pull_request=true]]")
        with pytest.raises(NotSupportedError, match="allow_pr_ban"):
            yield task.cancel()
        assert not task.is_complete()

        yield task.cancel(allow_pr_ban=True)

        assert task.status is TaskStatus.CANCELLED
        assert (task.is_complete(), task.is_failed(), task.error) == (True, False, None)

    codegen.play(script)


def test_a_cancel_has_no_effect_on_a_task_that_has_ended(codegen, clock):
    def script(api):
        task = yield api.run_task("Fix it. [[fake seconds=1 pull_request=true]]")
        clock.advance(5)
        yield task.cancel(allow_pr_ban=True)
        assert task.is_successful()

    codegen.play(script)


def test_operations_of_a_deployment_are_not_supported_by_the_codegen_api(codegen):
    def script(api):
        for refused in (
            lambda: api.agents.list_agents(),
            lambda: api.agents.get_agent("reviewer"),
            lambda: api.agents.create_agent("Reviewer"),
            lambda: api.agents.update_agent("reviewer", name="Reviewer"),
            lambda: api.agents.delete_agent("reviewer"),
            lambda: api.organizations.get_organization_usage(),
            lambda: api.budgets.get(),
            lambda: api.budgets.set({"runs_per_day": 1}),
            lambda: api.organizations.update_organization(name="Works"),
            lambda: api.users.update_user(789, role="admin"),
            lambda: api.users.create_api_token("mine"),
            lambda: api.users.list_api_tokens(),
            lambda: api.users.revoke_api_token("tok-1"),
            lambda: api.run_task("Do it", agent_id="reviewer"),
            lambda: api.run_task("Do it", idempotency_key="mine"),
        ):
            with pytest.raises(NotSupportedError, match="set base_url to a deployment of Codegen Runs"):
                yield refused()
        assert api.metrics.requests == 1, "the client checks once which server it has, and sends nothing else"

    codegen.play(script)


def test_organization_and_members_are_combined_from_the_lists_of_the_codegen_api(codegen):
    def script(api):
        organization = yield api.organizations.get_organization()
        assert (organization.id, organization.name, organization.members_count) == (123, "Example Works", 3)
        members = yield api.organizations.get_organization_members()
        assert [(member.name, member.email, member.role) for member in members] == [
            ("Ada Example", "ada@example.com", "ADMIN"),
            ("Linus Example", "linus@example.com", "MANAGER"),
            ("Mary Example", "mary@example.com", "MEMBER"),
        ]
        user = yield api.users.get_current_user()
        assert (user.name, user.email, user.role) == ("Ada Example", "ada@example.com", "ADMIN")
        assert [user.id for user in (yield api.users.list_users())] == [789, 791, 792]
        other = yield api.organizations.get_organization(org_id=124)
        assert (other.id, other.name, other.members_count) == (124, "Example Attic", 1)
        with pytest.raises(CodegenAPIError, match="do not have access"):
            yield api.organizations.get_organization(org_id=125)

    codegen.play(script)


def test_the_health_check_returns_the_user_and_the_server(codegen):
    def script(api):
        assert (yield api.health_check()) == {
            "status": "healthy",
            "user_id": 789,
            "org_id": 123,
            "base_url": "http://codegen.test",
            "deployment": False,
        }
        codegen.world.trouble("get_current_user_info", Trouble("error", status=503), times=None)
        health = yield api.health_check()
        assert (health["status"], health["status_code"]) == ("unhealthy", 503)
        assert health["error"]

    codegen.play(script)
