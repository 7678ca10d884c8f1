"""A script as a user writes it. `test_typing.py` checks its types, as strictly as mypy and pyright can, and runs it."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from codegen_api import (
    AgentRun,
    AsyncCodegenAPI,
    CodegenAPI,
    CodegenAPIError,
    Event,
    MultiRun,
    RateLimitError,
    RetryPolicy,
    RunCard,
    RunStatus,
    Task,
)


def recent(api: CodegenAPI, days: int) -> Iterator[AgentRun]:
    since = datetime.now(UTC) - timedelta(days=days)
    for run in api.runs.list(limit=50):
        if run.created_at is None or run.created_at < since:
            return
        yield run


def follow(task: Task) -> str:
    last: Event | None = None
    with task.stream() as events:
        for event in events:
            last = event
            print(event)
    return f"{task.status.value}: {task.result or task.error} ({last.id if last else 'no event'})"


def best_of(api: CodegenAPI, prompt: str) -> MultiRun:
    started = api.multi_runs.create(prompt, concurrency=4, strategy="select", variants=[{"model": "m"}])
    api.multi_runs.create(prompt, concurency=4)  # type: ignore[call-arg] # a mistake that is found
    return api.multi_runs.wait(started.id, timeout=600)


def failed(api: CodegenAPI) -> list[RunCard]:
    cards = api.run_cards.list(status=[RunStatus.FAILED, RunStatus.TIMED_OUT])
    return [card for page in cards.pages() for card in page.items if card.status.failed]


async def names(base_url: str | None) -> list[str]:
    async with AsyncCodegenAPI(123, "YOUR_TOKEN", base_url) as api:
        first = await api.users.list(limit=10)
        print(first.total, [user.name for user in first.items])
        return [user.name async for user in api.users.list()]


def main(base_url: str | None = None) -> None:
    quick = RetryPolicy(max_retries=1)
    with CodegenAPI(org_id=123, token="YOUR_TOKEN", base_url=base_url) as api:
        try:
            print(follow(api.with_options(timeout=20, retry=quick).run_task("Say hello. [[fake seconds=1]]")))
        except RateLimitError as error:
            print(f"wait {error.retry_after} s")
        except CodegenAPIError as error:
            print(error.code, error.remedy, error.retryable)
        print([run.id for run in recent(api, 7)])
    print(asyncio.run(names(base_url)))


if __name__ == "__main__":
    main()
