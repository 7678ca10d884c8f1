"""Cursors: opaque texts that say where the next page of a list starts.

A cursor is bound to its scope, such as the organization and the filters, and contains only a position in that list. A
cursor of another list is refused. A forged cursor gives no access that the request itself does not have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from codegen_runs.problems import BadRequest

T = TypeVar("T")

_DIGEST = 8


class InvalidCursor(BadRequest):
    """The cursor is not valid for this list."""

    code = "invalid_cursor"
    remedy = "Start again without a cursor."


class CursorPage(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(None, description="Send it as `cursor` to get the next page.")
    has_more: bool


def page(items: list[T], position: str | None, *scope: object) -> CursorPage[T]:
    """Make a page after which the list continues at `position`; None for the last page."""
    cursor = None if position is None else encode(position, *scope)
    return CursorPage(items=items, next_cursor=cursor, has_more=cursor is not None)


def encode(position: str, *scope: object) -> str:
    """Make a cursor for a position in the list that `scope` identifies."""
    return base64.urlsafe_b64encode(_digest(scope) + position.encode()).decode().rstrip("=")


def decode(cursor: str, *scope: object) -> str:
    """Return the position of a cursor. Raises `InvalidCursor` if it was not made for this scope."""
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, position = content[:_DIGEST], content[_DIGEST:].decode()
    except (binascii.Error, ValueError):
        raise InvalidCursor("The cursor is not valid.") from None
    if digest != _digest(scope):
        raise InvalidCursor("The cursor was made for another list.")
    return position


def _digest(scope: tuple[object, ...]) -> bytes:
    return hashlib.sha256(repr(scope).encode()).digest()[:_DIGEST]
