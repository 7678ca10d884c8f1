"""The journal: what is written is read back, whatever happens to its writer, and damage is never overwritten."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.journal import DataError, Journal, open_journal
from tests.support.profiles import examples

KIND = "the results of a test"
RECORDS: list[Any] = [["put", "ü", {"n": 1}], [], {"text": "line\nline"}, None, "x" * 500]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
)


class Clock:
    """Seconds that pass with each look."""

    def __init__(self, step: float) -> None:
        self._now, self._step = 0.0, step

    def __call__(self) -> float:
        self._now += self._step
        return self._now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.journal"


def reopened(path: Path, version: int = 1) -> list[Any]:
    journal, records = open_journal(path, KIND, version)
    journal.close()
    return records


def write(path: Path, records: list[Any]) -> list[int]:
    """Write records to a journal, and return where each of them ends, the header first."""
    journal, _ = open_journal(path, KIND, 1)
    ends = [path.stat().st_size]
    for record in records:
        journal.append(record)
        ends.append(path.stat().st_size)
    journal.close()
    return ends


def test_records_are_read_back_in_their_order(path: Path) -> None:
    write(path, RECORDS[:2])
    write(path, RECORDS[2:])

    assert reopened(path) == RECORDS


def test_the_file_is_private_even_if_it_was_copied_from_a_backup(path: Path) -> None:
    write(path, RECORDS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    path.chmod(0o644)

    assert reopened(path) == RECORDS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(json_values, max_size=6), st.data())
def test_a_file_that_is_cut_at_any_byte_has_the_records_before_the_cut(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "results.journal"
    ends = write(path, records)
    cut = data.draw(st.integers(ends[0], ends[-1]))
    os.truncate(path, cut)
    complete = sum(end <= cut for end in ends) - 1

    assert reopened(path) == records[:complete]
    write(path, ["the next"])
    assert reopened(path) == [*records[:complete], "the next"]


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(json_values, min_size=1, max_size=4), st.data())
def test_a_changed_byte_is_noticed_and_the_file_is_not_touched(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("changed") / "results.journal"
    end = write(path, records)[-1]
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, end - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)

    with pytest.raises(DataError):
        open_journal(path, KIND, 1)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "is empty and was not changed"),
        (lambda content: content[:20], "is damaged at byte 0 and was not changed"),
        (lambda content: b"\x00\xff" * 50, "is damaged at byte 0 and was not changed"),
        (lambda content: b"{}\n", "is damaged at byte 0 and was not changed"),
        (lambda content: content + b"\x00" * 4096, "is damaged at byte"),
        (lambda content: content + b"garbage", "is damaged at byte"),
        (lambda content: content + b"garbage\n", "is damaged at byte"),
        (lambda content: content[:-30] + content[-20:], "is damaged at byte"),
        (lambda content: content[:-2] + b"?", "is damaged at byte"),
        (lambda content: content[: len(content) // 2] + b"\n" + content, "is damaged at byte"),
    ],
    ids=[
        "empty",
        "header cut",
        "binary",
        "other text",
        "zeros",
        "half a line",
        "a line",
        "bytes lost",
        "end changed",
        "half a record",
    ],
)
def test_damage_is_reported_in_a_sentence_and_nothing_is_overwritten(path: Path, damage: Any, message: str) -> None:
    write(path, RECORDS)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)

    with pytest.raises(DataError, match=message):
        open_journal(path, KIND, 1)
    assert path.read_bytes() == damaged


def test_a_file_of_another_version_is_refused_and_not_overwritten(path: Path) -> None:
    write(path, RECORDS)
    content = path.read_bytes()

    with pytest.raises(
        DataError, match=r"another version of Codegen Runs.*has format 1, and this version reads format 2"
    ):
        open_journal(path, KIND, 2)
    assert path.read_bytes() == content


def test_a_file_about_something_else_is_refused_and_not_overwritten(path: Path) -> None:
    write(path, RECORDS)
    content = path.read_bytes()

    with pytest.raises(DataError, match="has the results of a test, not the tables"):
        open_journal(path, "the tables", 1)
    assert path.read_bytes() == content


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EISDIR])
def test_a_file_that_cannot_be_opened_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    write(path, RECORDS)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)  # permissions do not stop a superuser, who may run the tests

    with pytest.raises(DataError, match=rf"results\.journal cannot be used: {os.strerror(number)}"):
        open_journal(path, KIND, 1)


def test_a_folder_in_the_place_of_the_file_is_reported(path: Path) -> None:
    path.mkdir()

    with pytest.raises(DataError, match="cannot be used: Is a directory"):
        open_journal(path, KIND, 1)


class FullDisk:
    """A file on a disk that has room for a number of further bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: memoryview) -> int:
        if self._room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written: int = self._file.write(data[: self._room])
        self._room -= written
        return written


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    write(path, RECORDS)
    journal, _ = open_journal(path, KIND, 1)
    yield journal
    journal.close()


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_full_disk_ends_writing_and_leaves_no_part_of_the_record(journal: Journal, room: int) -> None:
    size = journal.path.stat().st_size
    journal._file = FullDisk(journal._file, room)  # type: ignore[assignment]

    for _ in range(2):
        with pytest.raises(DataError, match=r"results\.journal cannot be written: No space left on device"):
            journal.append("a record that is longer than the room on the disk")
    assert journal.path.stat().st_size == size
    journal.close()

    assert reopened(journal.path) == RECORDS


def test_records_are_replaced_and_further_ones_follow(journal: Journal) -> None:
    journal.replace(["one", "two"])
    journal.append("three")
    journal.close()

    assert reopened(journal.path) == ["one", "two", "three"]
    assert [file.name for file in journal.path.parent.iterdir()] == ["results.journal"]


def test_a_replacement_that_fails_changes_nothing(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    def records() -> Iterator[str]:
        yield "one"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal.replace(records())
    journal.append("the next")
    journal.close()

    assert reopened(journal.path) == [*RECORDS, "the next"]
    assert "cannot be made smaller: [Errno 28] No space left on device" in caplog.text


def test_a_replacement_that_was_killed_is_removed(path: Path) -> None:
    write(path, RECORDS)
    path.with_name("results.journal.new").write_bytes(b"half")

    assert reopened(path) == RECORDS
    assert [file.name for file in path.parent.iterdir()] == ["results.journal"]


def test_a_second_writer_is_refused(journal: Journal) -> None:
    with pytest.raises(DataError, match=r"results\.journal is in use by another process"):
        open_journal(journal.path, KIND, 1, clock=Clock(step=15))


def test_a_writer_waits_until_the_one_before_has_ended(path: Path) -> None:
    write(path, RECORDS)
    with path.open("rb") as before:
        fcntl.flock(before, fcntl.LOCK_EX)

        def clock() -> float:
            fcntl.flock(before, fcntl.LOCK_UN)
            return 0.0

        journal, records = open_journal(path, KIND, 1, clock=clock)
    journal.close()

    assert records == RECORDS


def test_a_file_that_is_replaced_while_it_is_opened_is_opened_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, RECORDS)
    before, _ = open_journal(path, KIND, 1)
    flock = fcntl.flock

    def replace_first(*arguments: Any) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        before.replace(["new"])
        before.close()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", replace_first)

    assert reopened(path) == ["new"]


def test_a_closed_journal_keeps_nothing(journal: Journal) -> None:
    journal.close()
    journal.append("late")

    assert reopened(journal.path) == RECORDS
