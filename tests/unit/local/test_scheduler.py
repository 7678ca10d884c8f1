"""When the local scheduler invokes functions, and with which events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from local import scheduler
from local.template import Function, Schedule, TemplateError


def schedule(name: str, expression: str, event: str | None = None) -> Schedule:
    function = Function(name, name, f"arn:{name}", "code.handler", Path(), (), {}, 3, 128, "python3.13")
    return Schedule(f"{name}-Often", function, expression, event)


def calls_until(end: float, *schedules: Schedule) -> list[tuple[float, str, object]]:
    """Run the schedules on a simulated clock for `end` seconds and list the calls with their times."""
    calls: list[tuple[float, str, object]] = []
    sleepers: list[tuple[float, asyncio.Future[None]]] = []
    now = 0.0

    async def send(name: str, event: bytes) -> None:
        calls.append((now, name, json.loads(event)))

    async def sleep(seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleepers.append((now + seconds, woken))
        await woken

    async def play() -> None:
        nonlocal now
        running = asyncio.create_task(scheduler.run(schedules, send, sleep=sleep))
        while True:
            for _ in range(5):  # every task reaches its next sleep
                await asyncio.sleep(0)
            sleepers.sort(key=lambda sleeper: sleeper[0])
            if sleepers[0][0] > end:
                break
            now, woken = sleepers.pop(0)
            woken.set_result(None)
        running.cancel()

    asyncio.run(play())
    return calls


def test_a_function_is_invoked_at_once_and_then_at_its_rate():
    calls = calls_until(130, schedule("Poll", "rate(1 minute)", "{}"), schedule("Sweep", "rate(2 minutes)", "{}"))

    assert sorted((when, name) for when, name, _ in calls) == [
        (0, "Poll"),
        (0, "Sweep"),
        (60, "Poll"),
        (120, "Poll"),
        (120, "Sweep"),
    ]


def test_a_function_gets_the_schedules_input():
    assert calls_until(0, schedule("Poll", "rate(1 minute)", '{"full": true}')) == [(0, "Poll", {"full": True})]


def test_without_an_input_a_function_gets_a_scheduled_event():
    ((_, _, event),) = calls_until(0, schedule("Poll", "rate(1 hour)"))

    assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    assert event["resources"] == ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/Poll-Often"]


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 60), ("rate(5 minutes)", 300), ("rate(2 hours)", 7200), ("rate(1 day)", 86_400)],
)
def test_a_rate_is_a_number_of_seconds(expression, seconds):
    assert scheduler.period(expression) == seconds


@pytest.mark.parametrize("expression", ["cron(0 * * * ? *)", "rate(1 second)", "every minute"])
def test_a_schedule_that_is_not_a_rate_is_refused(expression):
    with pytest.raises(TemplateError, match="supports only rate"):
        scheduler.period(expression)
