"""The whole system on loopback, once for all of these tests."""

from collections.abc import Iterator

import httpx
import pytest

from local.fake_codegen import DEMO_TOKEN, FakeCodegen
from local.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack whose runs take about a second and whose limits do not get in the way."""
    with Stack(
        fake=FakeCodegen(pace=0.1, limits={}), parameters={"LiveStreaming": "true", "CodegenLimitFactor": "100"}
    ) as running:
        yield running


@pytest.fixture(scope="session")
def paged() -> Iterator[Stack]:
    """The same, but it answers streams by pages, as the template has it by default."""
    with Stack(fake=FakeCodegen(pace=0.1, limits={}), parameters={"CodegenLimitFactor": "100"}) as running:
        yield running


@pytest.fixture(scope="session")
def http(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    with httpx.Client(base_url=stack.api_url, headers=headers, timeout=35) as client:
        yield client
