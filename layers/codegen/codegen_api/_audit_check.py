"""The check of an audit trail: each entry has its own hash and that of the entry before it.

So an entry cannot be changed, taken out or put in without a break of the chain, except by whoever writes all entries
after it again. A place and a hash that were noted before show that too.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._errors import InvalidArgumentError

_BEFORE_THE_FIRST = "0" * 64
_KNOWN = re.compile(r"(?P<sequence>[1-9][0-9]{0,14}):(?P<hash>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """The result of a check of an audit trail.

    Attributes:
        entries: The number of entries that were read.
        head: The newest entry as `SEQUENCE:HASH`, to pass as `known` to a later check; None without entries.
        broken_at: The sequence of the first entry that breaks the chain; None if none does.
        reason: How it does.
        unfinished: The sequences of the attempts without an outcome: a function died, or is at work.
    """

    entries: int
    head: str | None
    broken_at: int | None
    reason: str | None
    unfinished: tuple[int, ...]

    @property
    def is_intact(self) -> bool:
        """Whether the chain has no break."""
        return self.broken_at is None


@dataclass(slots=True)
class ChainReader:
    """Checks the entries of a chain, newest first."""

    known: tuple[int, str] | None = None
    entries: int = 0
    head: str | None = None
    _broken: tuple[int, str] | None = None
    _following: Mapping[str, Any] | None = None
    _concluded: set[Any] = field(default_factory=set)
    _unfinished: list[int] = field(default_factory=list)

    def take(self, entry: Mapping[str, Any]) -> None:
        """Check the entry before those that were taken."""
        sequence, hash_ = entry.get("sequence"), entry.get("hash")
        if not isinstance(sequence, int) or not isinstance(hash_, str):
            self._break(0, "An entry has no sequence or no hash.")
            return
        self.entries += 1
        self.head = self.head or f"{sequence}:{hash_}"
        self._compare(sequence, hash_)
        if hash_ != hash_of(entry):
            self._break(sequence, "Its content has another hash: it was changed.")
        if self.known and self.known[0] == sequence:
            if self.known[1] != hash_:
                self._break(sequence, "It has not the known hash: it was replaced.")
            self.known = None
        if entry.get("outcome") == "attempted":
            if sequence not in self._concluded:
                self._unfinished.append(sequence)
        else:
            self._concluded.add(entry.get("attempt"))
        self._following = entry

    def result(self) -> AuditCheck:
        """Return the result, after the last entry."""
        if self._following and (
            self._following["sequence"] != 1 or self._following.get("previous") != _BEFORE_THE_FIRST
        ):
            self._break(self._following["sequence"], "Entries before it are missing.")
        if self.known:
            self._break(self.known[0], "The known entry is missing.")
        at, reason = self._broken or (None, None)
        return AuditCheck(self.entries, self.head, at, reason, tuple(sorted(self._unfinished)))

    def _compare(self, sequence: int, hash_: str) -> None:
        """Compare an entry with the one after it."""
        if self._following is None:
            return
        following: int = self._following["sequence"]
        if following != sequence + 1:
            self._break(following, "Entries before it are missing.")
        elif self._following.get("previous") != hash_:
            self._break(following, "It follows another entry than the one before it.")

    def _break(self, sequence: int, reason: str) -> None:
        if self._broken is None or sequence <= self._broken[0]:
            self._broken = (sequence, reason)


def hash_of(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an entry without its `hash`, as JSON with sorted names, no spaces and ASCII only."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_known(known: str | None) -> tuple[int, str] | None:
    """Return the sequence and the hash of a known entry. Raises `InvalidArgumentError`."""
    if known is None:
        return None
    if not isinstance(known, str) or not (match := _KNOWN.fullmatch(known)):
        raise InvalidArgumentError("a known entry is SEQUENCE:HASH, as the head of an earlier check")
    return int(match["sequence"]), match["hash"]
