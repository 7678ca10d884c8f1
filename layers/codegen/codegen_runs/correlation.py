"""The id of the request that started the work at hand.

A run keeps the id of the request that started or continued it, and a multi-run gives its own to its runs. Every line of
the log and every call of the Codegen API that belongs to the work has the id, whichever function does the work. So one
search finds all of it: in this log and, by the header
`X-Request-Id`, in that of the Codegen API.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Request-Id"

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def request_id() -> str | None:
    """Return the id of the request to which the current work belongs; None if there is none."""
    return _request_id.get()


@contextmanager
def of(request_id: str | None) -> Iterator[None]:
    """Do the work of a request while the block runs."""
    before = _request_id.set(request_id)
    try:
        yield
    finally:
        _request_id.reset(before)
