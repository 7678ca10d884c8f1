"""The folder in which a local stack keeps its state, so that the state outlives a stop.

| file              | content                                                                 | writer           |
|-------------------|-------------------------------------------------------------------------|------------------|
| `lock`            | nothing; it is locked while a stack uses the folder                     | the stack        |
| `tables.journal`  | the items of the tables and the running executions, for one Codegen API | the AWS stand-in |
| `codegen.journal` | the state of the fake Codegen, if the stack has one                     | the stack        |

Only the owner can read the folder and the files.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from local.journal import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Data:
    """A folder that is locked for one stack."""

    folder: Path

    @property
    def tables(self) -> Path:
        """The journal of the tables."""
        return self.folder / "tables.journal"

    @property
    def codegen(self) -> Path:
        """The journal of the fake Codegen."""
        return self.folder / "codegen.journal"


@contextmanager
def data(folder: Path) -> Iterator[Data]:
    """Lock a folder for a stack, and create it if it does not exist.

    Raises:
        DataError: the folder cannot be used, or another stack uses it.
    """
    folder = folder.expanduser().absolute()
    lock = _lock(folder)
    try:
        yield Data(folder)
    finally:
        os.close(lock)


def _lock(folder: Path) -> int:
    """Create the folder if it does not exist, and return the descriptor of its locked file."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DataError(f"{error.filename or folder} cannot be used: {error.strerror or error}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            reason = f"{folder} is in use by another local stack. Stop that one, or name another folder with --data."
        else:  # a file system without locks
            reason = f"{folder} cannot be locked: {error.strerror or error}. Name another folder with --data."
        raise DataError(reason) from None
    return lock


def default_folder(base_url: str, org_id: int, environment: Mapping[str, str]) -> Path:
    """Return the folder for a Codegen API and an organization, under the user's state directory."""
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # the XDG specification ignores a relative path
        state = Path.home() / ".local" / "state"
    return state / "codegen-runs" / quote(origin(base_url).partition("://")[2], safe="") / str(org_id)


def origin(base_url: str) -> str:
    """Return a base URL in the form in which it is compared: without a password, and without `/v1`."""
    parts = urlsplit(base_url.strip())
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme}://{host}{parts.path.rstrip('/').removesuffix('/v1').rstrip('/')}"
