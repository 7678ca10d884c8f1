from collections.abc import Iterator

import httpx
import pytest

from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport, ManualClock, serve


@pytest.fixture
def fake() -> FakeCodegen:
    return FakeCodegen(clock=ManualClock())


@pytest.fixture
def client(fake: FakeCodegen) -> Iterator[httpx.Client]:
    """A client of the fake in this process."""
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    with httpx.Client(transport=FakeTransport(fake), base_url="http://codegen.test", headers=headers) as client:
        yield client


@pytest.fixture
def http(fake: FakeCodegen) -> Iterator[httpx.Client]:
    """A client of the fake over a real connection."""
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    with serve(fake) as base_url, httpx.Client(base_url=base_url, headers=headers) as client:
        yield client
