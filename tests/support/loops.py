"""Event loops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def current_loop() -> Iterator[None]:
    """Give this thread an event loop, which Mangum needs. `asyncio.run` in an earlier test leaves none."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        asyncio.set_event_loop(None)
