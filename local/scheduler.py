"""EventBridge Scheduler on one machine: invoke functions at a rate."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.template import ACCOUNT_ID, REGION, TemplateError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from local.template import Schedule

_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


async def run(
    schedules: Iterable[Schedule],
    send: Callable[[str, bytes], Awaitable[None]],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Invoke each schedule's function at once and then at its rate, until cancelled.

    Args:
        schedules: The schedules of the template.
        send: Invokes a function by name with an event (JSON) and does not wait for its result.
        sleep: Waits for a number of seconds.

    Raises:
        TemplateError: a schedule is not a rate.
    """
    periods = [(schedule, period(schedule.expression)) for schedule in schedules]

    async def repeat(schedule: Schedule, seconds: int) -> None:
        while True:
            await send(schedule.function.name, event(schedule))
            await sleep(seconds)

    async with asyncio.TaskGroup() as group:
        for schedule, seconds in periods:
            group.create_task(repeat(schedule, seconds))


def period(expression: str) -> int:
    """Return the seconds between two invocations: 60 for `rate(1 minute)`.

    Raises:
        TemplateError: the expression is not a rate.
    """
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if found is None:
        raise TemplateError(f"the local stack supports only rate(...) schedules, not {expression}")
    return int(found[1]) * _SECONDS[found[2]]


def event(schedule: Schedule) -> bytes:
    """Return the function's event as JSON: the schedule's own input, or else the service's default event."""
    if schedule.input is not None:
        return schedule.input.encode()
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT_ID,
            "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "region": REGION,
            "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT_ID}:schedule/default/{schedule.name}"],
            "detail": "{}",
        }
    ).encode()
