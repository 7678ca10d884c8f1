"""The template, as the local stack reads it, and as it stands."""

import asyncio
from collections.abc import Iterator

import pytest

from local import cloudformation
from local.cloudformation import Document
from local.template import Template
from tests.support import backend


@pytest.fixture(scope="session")
def template() -> Template:
    return backend.template()


@pytest.fixture(scope="session")
def document(template: Template) -> Document:
    return cloudformation.read(template.path, template.parameters)


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """The event loop that Mangum wants when the event stream's module is loaded."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    asyncio.set_event_loop(None)
