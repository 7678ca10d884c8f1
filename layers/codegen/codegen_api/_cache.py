"""Answers kept to be confirmed: by its `ETag`, a server tells that what we have is still what it would send.

Nothing is ever used without asking, so what a caller reads is as fresh as without the cache; an answer that did not
change only costs no transfer, and on a deployment less of its work.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

MAX_BYTES = 4 * 1024 * 1024
MAX_ANSWER_BYTES = 512 * 1024


class Kept(NamedTuple):
    """An answer's body and the tag by which to ask for it again."""

    etag: str
    content: bytes


class Cache:
    """The latest answers of one client by address; those unused longest make room. Safe to share between threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, Kept] = OrderedDict()
        self._room = max_bytes

    def find(self, url: str) -> Kept | None:
        """Return what is kept of an address."""
        with self._lock:
            if url in self._answers:
                self._answers.move_to_end(url)
            return self._answers.get(url)

    def keep(self, url: str, headers: Mapping[str, str], content: bytes) -> bool:
        """Keep an answer, if it has a tag and its server does not forbid it; tell whether it may be kept."""
        etag = headers.get("etag", "")
        may = bool(etag) and "no-store" not in headers.get("cache-control", "").lower()
        with self._lock:
            self._drop(url)
            if may and len(content) <= MAX_ANSWER_BYTES:
                self._answers[url] = Kept(etag, content)
                self._room -= len(content)
                while self._room < 0:
                    self._drop(next(iter(self._answers)))
        return may

    def _drop(self, url: str) -> None:
        if dropped := self._answers.pop(url, None):
            self._room += len(dropped.content)
