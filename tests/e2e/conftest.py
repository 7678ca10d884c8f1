"""The whole system on loopback, twice: with streams that are live, and with streams in pages."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen
from local.stack import Stack
from tests.support.console import chromium
from tests.support.receiver import SECONDS
from tests.support.stacks import is_paged

_LIMITS = {
    "CodegenLimitFactor": "100",
    "ConnectionsPerCaller": "1000",
    "StreamsPerCaller": "1000",
    "MaxCandidates": "60",
}


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that streams live. A run takes about a second, and no test reaches a rate limit.

    All tests use it, so none may depend on what others leave there.
    """
    fake = FakeCodegen(pace=0.1, limits={})
    parameters = {"LiveStreaming": "true", **_LIMITS}
    with Stack(fake=fake, parameters=parameters, log_dir=tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(scope="session")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The same, except that it answers streams in pages, which is the template's default, and has a base path."""
    fake = FakeCodegen(pace=0.1, limits={})
    folder = tmp_path_factory.mktemp("paged")
    with Stack(fake=fake, parameters=_LIMITS, log_dir=folder, base_path="/codegen") as running:
        yield running


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Stack:
    """The stack that the tests of this file use."""
    running: Stack = request.getfixturevalue("paged" if is_paged(request.node.nodeid) else "live")
    return running


@pytest.fixture(scope="module")
def http(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the API with the token of the demo user."""
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    with httpx.Client(base_url=stack.api_url, headers=headers, timeout=35) as client:
        yield client


@pytest.fixture
def admin(stack: Stack) -> Iterator[httpx.Client]:
    """A client of an admin of the organization. Codegen has no webhook before and after."""
    headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
    url = f"{stack.api_url}/v1/organizations/{DEMO_ORG_ID}"
    with httpx.Client(base_url=url, headers=headers, timeout=SECONDS, trust_env=False) as client:
        client.delete("doorbell").raise_for_status()
        client.delete("webhooks/agent-run").raise_for_status()
        yield client
        client.delete("doorbell").raise_for_status()
        client.delete("webhooks/agent-run").raise_for_status()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of the machine."""
    with chromium() as started:
        yield started
