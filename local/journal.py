"""A file of JSON records that is only appended to, so that the death of its writer at any moment costs no record.

Each record is one line: the length of its JSON text in bytes and the text's CRC-32, both as eight hexadecimal digits,
and the text, in ASCII. The first record is the header, which names the kind of the file and its version. The file is
created, and replaced by a shorter one, by renaming a complete file, so the header is never incomplete.

It is no SQLite database, because such a file cannot be copied while it is in use, and because SQLite does not notice a
changed byte.

A writer that dies leaves at most one incomplete record, at the end of the file. `open_journal` removes it. Anything
else that does not match is damage, and the file stays as it is.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import threading
import time
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

_log = logging.getLogger(__name__)

_LINE = re.compile(rb"([0-9a-f]{8}) ([0-9a-f]{8}) ([ -~]*)\n")
_START_OF_LINE = re.compile(rb"[0-9a-f]{0,8}|[0-9a-f]{8} [0-9a-f]{0,8}|([0-9a-f]{8}) ([0-9a-f]{8}) ([ -~]*)")
_PRIVATE = 0o600
# How long the previous writer may take to end after the process that started it was killed.
_WAIT_SECONDS = 20.0


class DataError(Exception):
    """Stored data cannot be read or written. The message is a sentence for the user."""


def open_journal(
    path: Path, kind: str, version: int, *, clock: Callable[[], float] = time.monotonic
) -> tuple[Journal, list[Any]]:
    """Open a journal and return it with its records, oldest first. If the file does not exist, create it.

    Args:
        path: The file. Its folder exists.
        kind: What the records are about.
        version: The version of the records' format.
        clock: Returns monotonic seconds, to wait for a previous writer that is ending.

    Raises:
        DataError: the file is damaged, is of another kind or version, cannot be read or written, or has a writer.
    """
    header = {"kind": kind, "version": version}
    try:
        if not path.exists():
            _write_new(path, [header]).close()
        file = _locked(path, clock)
        try:
            _new(path).unlink(missing_ok=True)  # of a writer that died
            os.fchmod(file.fileno(), _PRIVATE)
            records, end = _read(path, header, file)
            file.truncate(end)
            return Journal(path, header, file, end), records
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise DataError(f"{path} cannot be used: {error.strerror or error}.") from error


class Journal:
    """An open journal. It may be used by several threads.

    Attributes:
        path: The file.
        failure: The error that ended writing, or None.
    """

    def __init__(self, path: Path, header: dict[str, Any], file: BinaryIO, end: int) -> None:
        self.path = path
        self.failure: DataError | None = None
        self._header = header
        self._file, self._end = file, end
        self._lock = threading.Lock()
        self._is_closed = False

    def append(self, record: Any) -> None:
        """Add a record. When this returns, the record outlives this process. After `close`, do nothing.

        Bytes in the record become base64.

        Raises:
            DataError: the file cannot be written. It has no part of the record, and no further record is added.
        """
        line = _line(record)
        with self._lock:
            if self._is_closed:
                return
            if self.failure:
                raise self.failure
            try:
                _write(self._file, line)
            except OSError as error:
                with suppress(OSError):
                    self._file.truncate(self._end)
                self.failure = DataError(f"{self.path} cannot be written: {error.strerror or error}.")
                raise self.failure from error
            self._end += len(line)

    def replace(self, records: Iterable[Any]) -> None:
        """Replace all records. If that fails, for instance because the disk is full, the file stays as it is."""
        with self._lock:
            if self._is_closed or self.failure:
                return
            try:
                new = _write_new(self.path, [self._header, *records])
            except OSError as error:
                _log.warning("%s cannot be made smaller: %s", self.path, error)
                return
            self._file.close()
            self._file, self._end = new, new.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Write the records to the disk itself, and end."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                with suppress(OSError):
                    os.fsync(self._file.fileno())
                self._file.close()


def _locked(path: Path, clock: Callable[[], float]) -> BinaryIO:
    """Open the file as its only writer."""
    until = clock() + _WAIT_SECONDS
    while True:
        file = path.open("r+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
            file.close()  # the previous writer has replaced it
        except BlockingIOError:
            file.close()
            if clock() > until:
                raise DataError(f"{path} is in use by another process.") from None
            time.sleep(0.05)
        except BaseException:
            file.close()
            raise


def _read(path: Path, header: dict[str, Any], file: BinaryIO) -> tuple[list[Any], int]:
    """Return the records after the header, and the offset at which they end."""
    records: list[Any] = []
    end = 0
    with os.fdopen(os.dup(file.fileno()), "rb") as lines:
        for line in lines:
            found = _LINE.fullmatch(line)
            if found and _matches(*found.groups()):
                records.append(json.loads(found[3]))
                end += len(line)
                if len(records) == 1:
                    _check_header(path, records[0], header)
            elif records and _is_start(line):
                _log.warning("The last record of %s was not written completely and is left out.", path)
            else:
                raise DataError(
                    f"{path} is damaged at byte {end} and was not changed. Restore it from a backup, or delete it."
                )
    if not records:
        raise DataError(f"{path} is empty and was not changed. Restore it from a backup, or delete it.")
    return records[1:], end


def _check_header(path: Path, found: Any, expected: dict[str, Any]) -> None:
    if found == expected:
        return
    if isinstance(found, dict) and found.get("kind") == expected["kind"] and "version" in found:
        raise DataError(
            f"{path} was written by another version of Codegen Runs and was not changed: it has format "
            f"{found['version']}, and this version reads format {expected['version']}."
        )
    kind = found.get("kind", "something else") if isinstance(found, dict) else "something else"
    raise DataError(f"{path} has {kind}, not {expected['kind']}, and was not changed. Use another folder.")


def _is_start(line: bytes) -> bool:
    """Tell whether a line can be the start of a record whose writer died."""
    found = _START_OF_LINE.fullmatch(line)
    if not found:
        return False
    length, checksum, text = found.groups()
    return text is None or len(text) < int(length, 16) or _matches(length, checksum, text)


def _matches(length: bytes, checksum: bytes, text: bytes) -> bool:
    return len(text) == int(length, 16) and crc32(text) == int(checksum, 16)


def _line(record: Any) -> bytes:
    text = json.dumps(record, separators=(",", ":"), default=_base64).encode("ascii")
    return b"%08x %08x %b\n" % (len(text), crc32(text), text)


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _write_new(path: Path, records: Iterable[Any]) -> BinaryIO:
    """Write a file next to `path`, put it in its place, and return it open and locked."""
    new = _new(path)
    new.unlink(missing_ok=True)
    file = os.fdopen(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE), "r+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for lines in _in_blocks(map(_line, records)):
            _write(file, lines)
        os.fsync(file.fileno())
        new.rename(path)
    except BaseException:
        file.close()
        new.unlink(missing_ok=True)
        raise
    return file


def _new(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _in_blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for line in lines:
        block += line
        if len(block) >= 1 << 20:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _write(file: BinaryIO, data: bytes) -> None:
    """Write all of the data at the end of the file."""
    file.seek(0, os.SEEK_END)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
