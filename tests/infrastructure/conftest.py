"""The template as the local stack reads it, and as a document with all its properties."""

import asyncio
from collections.abc import Iterator

import pytest

from local.cloudformation import Document
from local.template import Template
from tests.support import backend


@pytest.fixture(scope="session")
def template() -> Template:
    return backend.template()


@pytest.fixture(scope="session")
def document() -> Document:
    return backend.document()


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """Set the event loop that Mangum needs when the module of the event stream is loaded."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    asyncio.set_event_loop(None)
