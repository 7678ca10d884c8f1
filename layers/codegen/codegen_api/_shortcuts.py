"""Functions that make a client or start a task in one line."""

from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import httpx

from ._client import AsyncCodegenAPI, CodegenAPI
from ._ids import Id
from ._network import C, connect
from ._settings import read_settings
from ._task import AsyncTask, Task
from ._task_state import RunOptions


def create_client(org_id: Id | None = None, token: str | None = None, **options: Any) -> CodegenAPI:
    """Make a blocking client; the options are those of `CodegenAPI`."""
    return CodegenAPI(org_id, token, **options)


def create_async_client(org_id: Id | None = None, token: str | None = None, **options: Any) -> AsyncCodegenAPI:
    """Make an asynchronous client; the options are those of `CodegenAPI`."""
    return AsyncCodegenAPI(org_id, token, **options)


def run_task(
    prompt: str,
    *,
    token: str | None = None,
    base_url: str | None = None,
    **options: Unpack[RunOptions],
) -> Task:
    """Start a task without a client. There is nothing to close, because no connection stays open."""
    http = _connect(httpx.Client, token, base_url)
    return CodegenAPI(token=token, base_url=base_url, http_client=http).run_task(prompt, **options)


async def run_task_async(
    prompt: str,
    *,
    token: str | None = None,
    base_url: str | None = None,
    **options: Unpack[RunOptions],
) -> AsyncTask:
    """Start a task without an asynchronous client, as `run_task` does without a client."""
    http = _connect(httpx.AsyncClient, token, base_url)
    return await AsyncCodegenAPI(token=token, base_url=base_url, http_client=http).run_task(prompt, **options)


def _connect(kind: Callable[..., C], token: str | None, base_url: str | None) -> C:
    settings = read_settings(None, token, base_url, None, None)
    return connect(partial(kind, limits=httpx.Limits(max_keepalive_connections=0)), settings.base_url)
