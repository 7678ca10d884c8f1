"""A cache of responses with an `ETag`.

No cached response is used without a request: the server confirms with 304 that it is still current. So a caller always
reads current data. A 304 saves the transfer, and on a deployment part of the work.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

MAX_BYTES = 4 * 1024 * 1024
MAX_RESPONSE_BYTES = 512 * 1024


class CachedResponse(NamedTuple):
    """The body of a response, and the `ETag` to send with the next request."""

    etag: str
    content: bytes


class Cache:
    """The responses of one client by URL. The least recently used are dropped first. Thread-safe."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._lock = threading.Lock()
        self._responses: OrderedDict[str, CachedResponse] = OrderedDict()
        self._free_bytes = max_bytes

    def get(self, url: str) -> CachedResponse | None:
        """Return the cached response for a URL."""
        with self._lock:
            if url in self._responses:
                self._responses.move_to_end(url)
            return self._responses.get(url)

    def put(self, url: str, headers: Mapping[str, str], content: bytes) -> bool:
        """Store a response unless its headers or its size forbid it. Return whether the headers allow it."""
        etag = headers.get("etag", "")
        cacheable = bool(etag) and "no-store" not in headers.get("cache-control", "").lower()
        with self._lock:
            self._drop(url)
            if cacheable and len(content) <= MAX_RESPONSE_BYTES:
                self._responses[url] = CachedResponse(etag, content)
                self._free_bytes -= len(content)
                while self._free_bytes < 0:
                    self._drop(next(iter(self._responses)))
        return cacheable

    def _drop(self, url: str) -> None:
        if dropped := self._responses.pop(url, None):
            self._free_bytes += len(dropped.content)
