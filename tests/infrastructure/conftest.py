"""The template as the local stack reads it, and as a document with all its properties."""

from collections.abc import Iterator

import pytest

from local.cloudformation import Document
from local.template import Template
from tests.support import backend
from tests.support.loops import current_loop


@pytest.fixture(scope="session")
def template() -> Template:
    return backend.template()


@pytest.fixture(scope="session")
def document() -> Document:
    return backend.document()


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    """Set the event loop that Mangum needs when the module of the event stream is loaded."""
    with current_loop():
        yield
