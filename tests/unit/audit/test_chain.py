"""The chain of audit entries: one place after the other, each with the hash of the entry before it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api._audit_check import AuditCheck, ChainReader, read_known
from codegen_runs.audit import chain
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.audit import GENESIS, AuditEntry, AuditTable, hash_of
from codegen_runs.storage.table import ConditionFailed
from local.fake_codegen import ManualClock
from local.template import Template
from tests.support.backend import TestClock
from tests.support.memory import MemoryAudit
from tests.support.overtaken import Overtaken
from tests.unit.audit.conftest import FIELDS, ORG, Trail


def check(entries: list[dict[str, Any]], known: str | None = None) -> AuditCheck:
    """Check entries, newest first, as the client does."""
    reader = ChainReader(read_known(known))
    for entry in entries:
        reader.take(entry)
    return reader.result()


def test_each_entry_has_the_hash_of_the_one_before_it(trail: Trail) -> None:
    trail.add(3)
    third, second, first = trail.entries()

    assert [entry.sequence for entry in (first, second, third)] == [1, 2, 3]
    assert [entry.previous for entry in (first, second, third)] == [GENESIS, first.hash, second.hash]
    assert len({first.hash, second.hash, third.hash}) == 3


def test_organizations_have_chains_of_their_own(trail: Trail) -> None:
    trail.add(2)
    chain.append(124, FIELDS, backend=trail.backend())

    assert trail.table.newest(124, 10)[0].sequence == 1
    assert check(trail.json()).is_intact


def test_the_client_computes_the_hash_that_is_stored(trail: Trail) -> None:
    trail.add(3, target="\u00fc \U0001f600", details={"b": [1, None, True], "a": {"z": -1, "y": "x"}})

    checked = check(trail.json())

    assert (checked.is_intact, checked.entries, checked.unfinished) == (True, 3, (1, 2, 3))
    assert checked.head == f"3:{trail.entries()[0].hash}"


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_a_writer_that_is_overtaken_takes_the_next_place(others: list[int]) -> None:
    """Each number says how many entries another writer adds between the reading and the writing of an entry."""
    trail = Trail(TestClock(ManualClock()), MemoryAudit())
    for number in others:
        table = Overtaken(trail.table, "add", lambda: trail.add(actor="user:43"), times=number)
        trail.add(table=table)

    assert check(trail.json()).is_intact
    assert len(trail.entries()) == len(others) + sum(others)
    assert sum(entry.actor == "user:42" for entry in trail.entries()) == len(others)


def test_functions_that_write_at_the_same_time_lose_no_entry(deployed: Template, clock: TestClock) -> None:
    trail = Trail(clock, AuditTable(deployed.tables["AuditTable"].name))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: trail.add(5, actor=f"user:{number}"), range(4)))

    assert check(trail.json()).is_intact
    assert sorted(entry.actor for entry in trail.entries()) == sorted(5 * [f"user:{number}" for number in range(4)])


class LostAnswers:
    """A table whose writes have no answer: the first is done or not, and the client may have sent it twice."""

    def __init__(self, table: MemoryAudit, *, done: bool, error: Exception) -> None:
        self._table, self._done, self._error = table, done, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def add(self, entry: AuditEntry) -> None:
        if self._done:
            self._table.add(entry)
        raise self._error


UNANSWERED = StorageUnavailable("The storage does not respond.", effect_unknown=True)


@pytest.mark.parametrize("error", [UNANSWERED, ConditionFailed()])
def test_an_entry_whose_answer_was_lost_is_found(trail: Trail, error: Exception) -> None:
    trail.add()

    added = trail.add(table=LostAnswers(trail.table, done=True, error=error))

    assert trail.entries()[0] == added
    assert len(trail.entries()) == 2


def test_an_entry_that_was_not_written_is_an_error(trail: Trail) -> None:
    with pytest.raises(StorageUnavailable):
        trail.add(table=LostAnswers(trail.table, done=False, error=UNANSWERED))

    assert trail.entries() == []


def test_a_chain_at_which_too_many_write_is_an_error(trail: Trail) -> None:
    table = Overtaken(trail.table, "add", lambda: trail.add(actor="user:43"), times=None)

    with pytest.raises(StorageUnavailable, match="Too many acts"):
        trail.add(table=table)

    assert len(trail.entries()) == chain.MOST_TRIES


def test_no_entry_is_earlier_than_the_one_before_it(trail: Trail, clock: TestClock) -> None:
    first = trail.add()
    late = Trail(TestClock(ManualClock()), trail.table)
    clock.sleep(1)
    second = trail.add()

    assert late.add().at == second.at > first.at


def test_a_place_cannot_be_taken_twice(deployed: Template, clock: TestClock) -> None:
    for table in (AuditTable(deployed.tables["AuditTable"].name), MemoryAudit()):
        trail = Trail(clock, table)
        entry = trail.add()

        with pytest.raises(ConditionFailed):
            trail.table.add(entry.model_copy(update={"act": "run.ban"}))

        assert trail.entries() == [entry]
        assert table.get(ORG, 1) == entry
        assert table.get(ORG, 2) is None
        trail.add(2)
        assert [each.sequence for each in table.newest(ORG, 1, before=3)] == [2]


# --- what a check finds ----------------------------------------------------------------------------------------------


@pytest.fixture
def entries(trail: Trail) -> list[dict[str, Any]]:
    """Five entries, newest first."""
    trail.add(5)
    return trail.json()


@given(data=st.data())
def test_a_changed_field_is_found(data: st.DataObject) -> None:
    trail = Trail(TestClock(ManualClock()), MemoryAudit())
    trail.add(3)
    entries = trail.json()
    number = data.draw(st.integers(0, 2))
    name = data.draw(st.sampled_from(sorted(entries[0])))
    entries[number][name] = 99 if isinstance(entries[number][name], int) else "another"

    assert not check(entries).is_intact


def test_the_first_break_is_named(entries: list[dict[str, Any]]) -> None:
    for sequence in (4, 2):
        entries[5 - sequence]["actor"] = "user:1"

    assert check(entries).broken_at == 2
    assert check(entries).reason == "Its content has another hash: it was changed."


@pytest.mark.parametrize(("missing", "broken_at"), [(1, 2), (3, 4)])
def test_a_missing_entry_is_found(entries: list[dict[str, Any]], missing: int, broken_at: int) -> None:
    del entries[5 - missing]

    assert (check(entries).broken_at, check(entries).reason) == (broken_at, "Entries before it are missing.")


def test_an_entry_that_was_replaced_with_its_hash_is_found(entries: list[dict[str, Any]]) -> None:
    entries[2]["actor"] = "user:1"
    entries[2]["hash"] = hash_of(entries[2])

    assert (check(entries).broken_at, check(entries).reason) == (
        4,
        "It follows another entry than the one before it.",
    )


def test_only_a_known_hash_shows_that_everything_after_an_entry_was_written_again(
    entries: list[dict[str, Any]],
) -> None:
    known = check(entries).head
    previous = entries[4]["hash"]
    for entry in reversed(entries[:4]):
        entry |= {"actor": "user:1", "previous": previous}
        previous = entry["hash"] = hash_of(entry)

    assert check(entries).is_intact
    assert check(entries, known).broken_at == 5
    assert check(entries, known).reason == "It has not the known hash: it was replaced."


def test_only_a_known_hash_shows_that_the_newest_entries_are_gone(entries: list[dict[str, Any]]) -> None:
    known = check(entries).head

    assert check(entries[2:]).is_intact
    assert (check(entries[2:], known).broken_at, check(entries[2:], known).reason) == (
        5,
        "The known entry is missing.",
    )


def test_a_known_entry_may_have_followers(entries: list[dict[str, Any]]) -> None:
    assert check(entries, f"3:{entries[2]['hash']}").is_intact


def test_an_empty_trail_is_intact() -> None:
    assert check([]) == AuditCheck(0, None, None, None, ())


def test_what_is_no_entry_breaks_the_chain(entries: list[dict[str, Any]]) -> None:
    assert check([*entries, {}]).broken_at == 0
