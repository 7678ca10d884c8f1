"""Threads that take their permits together."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from codegen_runs.poller.permits import SharedPermits
from codegen_runs.problems import StorageUnavailable

THREADS = 8


class Writes:
    """Buckets that count their writes. The first write waits until `is_asked`; it may fail."""

    def __init__(self, *, left: int = 100, fails: bool = False) -> None:
        self.left, self.fails = left, fails
        self.counts: list[int] = []
        self.has_begun, self.may_end = Event(), Event()

    def take(self, _: str, count: int) -> int:
        self.counts.append(count)
        if len(self.counts) == 1:
            self.has_begun.set()
            assert self.may_end.wait(10)
            if self.fails:
                raise StorageUnavailable("The table cannot be reached.")
        granted = min(count, self.left)
        self.left -= granted
        return granted


def together(writes: Writes) -> list[Future[bool]]:
    """Let seven threads ask for a permit while the first one writes."""
    permits: Any = SharedPermits(writes)  # type: ignore[arg-type]
    with ThreadPoolExecutor(THREADS) as threads:
        first = threads.submit(permits.take, "logs")
        assert writes.has_begun.wait(10)
        others = [threads.submit(permits.take, "logs") for _ in range(THREADS - 1)]
        wait_until(lambda: len(permits._waiting.get("logs", [])) == THREADS - 1)
        writes.may_end.set()
    return [first, *others]


def wait_until(is_so: Callable[[], bool]) -> None:
    tick = Event()
    for _ in range(10_000):
        if is_so():
            return
        tick.wait(0.001)
    raise AssertionError("It did not happen.")


def test_threads_that_wait_take_their_permits_in_one_write() -> None:
    writes = Writes()
    granted = [each.result() for each in together(writes)]

    assert granted == [True] * THREADS
    assert writes.counts == [1, THREADS - 1]


def test_no_more_permits_are_given_than_there_are() -> None:
    writes = Writes(left=3)
    granted = [each.result() for each in together(writes)]

    assert granted.count(True) == 3
    assert writes.left == 0


def test_a_write_that_fails_fails_for_the_thread_that_made_it_only() -> None:
    writes = Writes(fails=True)
    first, *others = together(writes)

    with pytest.raises(StorageUnavailable):
        first.result()
    assert [each.result() for each in others] == [True] * (THREADS - 1)


def test_a_failed_write_leaves_nobody_without_an_answer() -> None:
    """The seven threads wait for one write, which fails; then each of them writes, or shares the write of another."""

    class SecondFails(Writes):
        def take(self, name: str, count: int) -> int:
            if len(self.counts) == 1:
                self.counts.append(count)
                raise StorageUnavailable("The table cannot be reached.")
            return super().take(name, count)

    writes = SecondFails()
    results = together(writes)

    assert [each.exception() is not None for each in results].count(True) == 1
    assert writes.counts == [1, THREADS - 1, THREADS - 2]


def test_limits_are_apart() -> None:
    writes = Writes(left=1)
    writes.may_end.set()
    permits: Any = SharedPermits(writes)  # type: ignore[arg-type]

    assert (permits.take("logs"), permits.take("standard")) == (True, False)
