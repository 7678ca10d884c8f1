"""Fixtures that several suites use, and how the tests are spread over workers."""

import gc
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import FakeCodegen, FakeTransport, ManualClock
from local.stack import Stack
from local.template import Template
from tests.support import aws, backend, profiles
from tests.support.stack_log import StackLog
from tests.support.stacks import is_paged, is_shared

profiles.register()

# The servers of the tests are on loopback, which some clients would reach through the proxy of the environment.
_NO_PROXY = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
for _name, _url in list(os.environ.items()):
    if _name.lower().endswith("_proxy") and _url.startswith("socks"):
        del os.environ[_name]  # httpx refuses it, even for loopback
os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, (_NO_PROXY, "127.0.0.1,localhost,::1")))

# What takes longest comes first, so that no core is idle at the end.
_FIRST = (
    "tests/e2e/test_sample_events.py",
    "tests/e2e",
    "tests/integration/local/test_main.py",
    "tests/integration",
    "tests/unit/poller",
    "tests/unit/reconciler",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage among the 12,000 tests and what they import: it would take a tenth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not profiles.is_full():
        for item in items:
            if item.get_closest_marker("full"):
                item.add_marker(pytest.mark.skip(reason="takes long: make test-all runs it"))
    items.sort(key=lambda item: next((n for n, path in enumerate(_FIRST) if item.nodeid.startswith(path)), len(_FIRST)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start one worker more than there are cores: the tests that wait for other processes use no core."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole files, and all tests of a stack to one worker, so that each fixture is set up once."""
    from xdist.scheduler import LoadScopeScheduling

    class UnitScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit(nodeid)

    if config.option.dist != "load":
        return None  # another way to spread the tests was asked for
    config.option.loadscopereorder = False
    return UnitScheduling(config, log)


def _unit(nodeid: str) -> str:
    """Return what a test belongs to that one worker runs: a file, or all tests of one shared stack."""
    if not is_shared(nodeid):
        return nodeid.partition("::")[0]
    return "paged stack" if is_paged(nodeid) else "live stack"


_STACK_LOGS = pytest.StashKey[list[StackLog]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Remember where the logs of the test's stacks end before it."""
    stacks = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Stack)]
    folders = {stack.log_dir for stack in stacks if stack.log_dir}
    item.stash[_STACK_LOGS] = [StackLog(folder) for folder in sorted(folders)]
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failure what the stacks of the test logged."""
    report = yield
    if report.failed and call.when == "call":
        report.sections += [("Stack", log.report()) for log in item.stash.get(_STACK_LOGS, [])]
    return report


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Template]:
    """The template's tables in memory, and in the environment what the template gives all of its functions together."""
    with backend.tables() as template:
        for name, value in (aws.ENVIRONMENT | backend.environment()).items():
            monkeypatch.setenv(name, value)
        yield template


@pytest.fixture
def runs(deployed: Template) -> RunsTable:
    return backend.runs_table(deployed)


@pytest.fixture
def fake() -> FakeCodegen:
    return FakeCodegen(clock=ManualClock())


@pytest.fixture
def clock(fake: FakeCodegen) -> backend.TestClock:
    assert isinstance(fake.clock, ManualClock)
    return backend.TestClock(fake.clock)


@pytest.fixture
def codegen(fake: FakeCodegen) -> CodegenAPI:
    return backend.codegen(FakeTransport(fake))
