"""The rate limits of the fake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.fake_codegen import DEMO_ORG_ID, LIMITS, OTHER_TOKEN, FakeCodegen, Limit, ManualClock, create_app
from local.fake_codegen.limits import BUCKETS, RateLimiter

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
RUNS = f"{ORG}/agent/run"


def test_the_eleventh_create_in_a_minute_is_refused_without_effect_and_with_retry_after(client, fake):
    for _ in range(10):
        assert client.post(RUNS, json={"prompt": "x"}).status_code == 200
        fake.clock.advance(1)

    refused = client.post(RUNS, json={"prompt": "x"})

    assert refused.status_code == 429
    assert refused.json() == {"message": "Rate limit exceeded. Please try again later.", "status_code": 429}
    assert refused.headers["Retry-After"] == "50"
    assert len(fake.creates) == 10
    fake.clock.advance(49.9)
    assert client.post(RUNS, json={"prompt": "x"}).status_code == 429
    fake.clock.advance(0.1)
    assert client.post(RUNS, json={"prompt": "x"}).status_code == 200


def test_buckets_and_tokens_have_separate_limits(client):
    for _ in range(60):
        assert client.get("/v1/users/me").status_code == 200

    assert client.get(f"{ORG}/agent/runs").status_code == 429, "one bucket for all standard operations"
    assert client.get(f"/v1/alpha{RUNS[3:]}/100001/logs").status_code == 200
    assert client.get("/v1/users/me", headers={"Authorization": f"Bearer {OTHER_TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    ("operation", "calls", "seconds"),
    [
        ("get_agent_run", 60, 30),
        ("create_agent_run", 10, 60),
        ("get_agent_run_logs", 60, 60),
        ("generate_setup_commands", 5, 60),
        ("get_cli_rules", 30, 60),
        ("edit_pull_request", 30, 60),
        ("test_webhook", 10, 60),
    ],
)
def test_an_operation_has_the_limit_that_the_upstream_states(operation, calls, seconds):
    clock, limiter = ManualClock(), RateLimiter(LIMITS)
    assert [limiter.admit("token", operation, clock.now()) for _ in range(calls)] == [None] * calls

    assert limiter.admit("token", operation, clock.now()) == seconds
    clock.advance(seconds)
    assert limiter.admit("token", operation, clock.now()) is None


def test_operations_without_a_stated_limit_have_none(client):
    for _ in range(100):
        assert client.post(f"{RUNS}/unban", json={"agent_run_id": 100001}).status_code == 200


def test_the_header_and_the_limits_can_be_switched_off(client, fake):
    fake.limiter.limits = {"create": Limit(1, 60)}
    fake.limiter.retry_after = False
    client.post(RUNS, json={"prompt": "x"})
    assert "Retry-After" not in client.post(RUNS, json={"prompt": "x"}).headers

    fake.limiter.limits = {}
    assert client.post(RUNS, json={"prompt": "x"}).status_code == 200


def test_every_limited_operation_exists_and_its_bucket_has_a_limit():
    assert set(BUCKETS) <= set(create_app(FakeCodegen()).state.operations)
    assert set(BUCKETS.values()) == set(LIMITS)


@given(st.lists(st.floats(0, 40), max_size=60), st.integers(1, 5))
def test_no_window_admits_more_than_its_calls_and_the_reported_wait_is_long_enough(gaps, calls):
    clock, limiter = ManualClock(), RateLimiter({"create": Limit(calls, 60)})
    admitted = []
    for gap in gaps:
        clock.advance(gap)
        now = clock.now()
        wait = limiter.admit("token", "create_agent_run", now)
        if wait is None:
            admitted.append(now)
        else:
            assert 0 < wait <= 60
            clock.advance(wait)
            assert limiter.admit("token", "create_agent_run", clock.now()) is None
            admitted.append(clock.now())
    for moment in admitted:
        assert sum(0 <= (other - moment).total_seconds() < 60 for other in admitted) <= calls


@pytest.mark.parametrize("seconds", [-1, -0.001])
def test_a_clock_refuses_to_go_back(seconds):
    with pytest.raises(ValueError, match="forward"):
        ManualClock().advance(seconds)
