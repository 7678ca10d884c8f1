"""The functions that make a client or start a task in one line, over a real connection."""

import asyncio
import contextlib

import pytest

from codegen_api import create_async_client, create_client, run_task, run_task_async
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, serve


@pytest.fixture
def settings():
    with serve(FakeCodegen(pace=0)) as url:
        yield {"org_id": DEMO_ORG_ID, "token": DEMO_TOKEN, "base_url": url}


def test_run_task_leaves_no_connection_open(settings):
    task = run_task("Explain it.", **settings).refresh()

    assert task.is_successful()
    assert task._driver.http._transport._pool.connections == []


def test_run_task_async_leaves_no_connection_open(settings):
    async def script():
        task = await run_task_async("Explain it.", **settings)
        await task.refresh()
        assert task.is_successful()
        assert task._driver.http._transport._pool.connections == []

    asyncio.run(script())


def test_create_client_and_create_async_client_make_working_clients(settings):
    with create_client(**settings) as api:
        assert api.users.get_current_user().id == 789

    async def script():
        async with contextlib.aclosing(create_async_client(**settings)) as api:
            assert (await api.users.get_current_user()).id == 789

    asyncio.run(script())
