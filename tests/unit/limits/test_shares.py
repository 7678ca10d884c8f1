"""Shares: how many of a kind one owner holds at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from codegen_runs.limits.shares import Hold, ShareExhausted, Shares, Takeover
from codegen_runs.storage.table import Table
from local.template import Template
from tests.support.backend import TestClock
from tests.support.memory import MemoryItems

Take = Callable[..., Hold]


@pytest.fixture
def shares(clock: TestClock) -> Shares:
    return Shares(MemoryItems(), clock)


@pytest.fixture
def take(shares: Shares) -> Take:
    def take(owner: str = "user:1", kind: str = "streams", **more: Any) -> Hold:
        return shares.take(kind, owner, **{"most": 2, "seconds": 60, **more})

    return take


def test_an_owner_holds_as_many_as_allowed_and_learns_when_the_next_one_is_free(take: Take, clock: TestClock) -> None:
    take(seconds=60)
    clock.sleep(10)
    take(seconds=60)

    with pytest.raises(ShareExhausted) as refused:
        take()
    assert refused.value.retry_after == 50
    clock.sleep(50)
    take()


@pytest.mark.parametrize("other", [{"owner": "user:2"}, {"kind": "tickets"}])
def test_other_owners_and_other_kinds_have_shares_of_their_own(take: Take, other: dict[str, str]) -> None:
    take(most=1)

    assert take(most=1, **other)


def test_a_released_hold_makes_room_at_once_and_can_be_released_again(take: Take, shares: Shares) -> None:
    first = take(most=1)
    shares.release(first)
    second = take(most=1)
    shares.release(first)

    assert (shares.lasts(first), shares.lasts(second)) == (False, True)


def test_the_hold_of_a_function_that_died_ends_by_itself(take: Take, shares: Shares, clock: TestClock) -> None:
    hold = take(most=1, seconds=5)
    clock.sleep(5)

    assert not shares.lasts(hold)
    assert take(most=1)


def test_a_hold_that_is_old_enough_gives_its_place_to_one_with_the_same_prefix(
    take: Take, shares: Shares, clock: TestClock
) -> None:
    first, other = take(id_="7#a"), take(id_="8#b")
    clock.sleep(24)
    with pytest.raises(ShareExhausted):
        take(takeover=Takeover("7#", after=25))
    clock.sleep(1)
    take(id_="7#c", takeover=Takeover("7#", after=25))

    assert (shares.lasts(first), shares.lasts(other)) == (False, True)
    with pytest.raises(ShareExhausted):
        take(takeover=Takeover("7#", after=25))


def test_functions_that_take_at_the_same_time_do_not_exceed_the_cap_together(
    deployed: Template, clock: TestClock
) -> None:
    shares = Shares(Table(deployed.tables["SharesTable"].name), clock)
    barrier = Barrier(8)

    def take(_: int) -> bool:
        barrier.wait()
        try:
            shares.take("streams", "user:1", most=3, seconds=60)
        except ShareExhausted:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(take, range(8))) == 3
