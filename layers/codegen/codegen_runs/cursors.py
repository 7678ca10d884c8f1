"""Cursors: opaque texts that say where the next page of a list starts.

A cursor has a position in one list, as one caller sees it with some filters, and a message authentication code (MAC) of
all of these. The key of the MAC is a secret of the deployment, so nobody else can make a cursor. Every other text is
refused: a cursor of another list, caller or deployment, a changed one, and one that was made with an earlier key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from codegen_runs import forms, settings
from codegen_runs.callers import Caller
from codegen_runs.problems import BadRequest

T = TypeVar("T")

_FORM = re.compile(forms.CURSOR)
_MAC = 16  # Bytes of an HMAC-SHA-256, of which RFC 2104 requires at least half.


class InvalidCursor(BadRequest):
    """The cursor is not valid for this list."""

    code = "invalid_cursor"
    remedy = "Start again without a cursor."


class CursorPage(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(None, description="Send it as `cursor` to get the next page.")
    has_more: bool


@dataclass(frozen=True)
class Listing:
    """A list, as one caller sees it.

    Attributes:
        caller_id: The caller, as in `Caller.id`.
        parts: The name of the list, and everything that selects its entries: the organization, the filters.
    """

    caller_id: str
    parts: tuple[str | int | None, ...]

    @classmethod
    def of(cls, caller: Caller, *parts: str | int | None) -> Listing:
        """Return the list that `parts` identify, as the caller sees it."""
        return cls(caller.id, parts)

    def page(self, items: list[T], position: str | None) -> CursorPage[T]:
        """Make a page after which the list continues at `position`; None for the last page."""
        cursor = None if position is None else self.cursor(position)
        return CursorPage(items=items, next_cursor=cursor, has_more=cursor is not None)

    def cursor(self, position: str) -> str:
        """Make the cursor of a position. Raises `SettingError` if the deployment has no key for cursors."""
        content = position.encode()
        return base64.urlsafe_b64encode(self._mac(content) + content).decode().rstrip("=")

    def position(self, cursor: str, read: Callable[[str], T]) -> T:
        """Return the position of a cursor.

        Args:
            cursor: The cursor of a request.
            read: Reads the text of a position. It raises `ValueError` for a text that is none.

        Raises:
            InvalidCursor: The cursor was not made by this deployment for this list and this caller.
            SettingError: The deployment has no key for cursors.
        """
        if not _FORM.fullmatch(cursor):
            raise InvalidCursor("The cursor is not valid.")
        try:
            made = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            raise InvalidCursor("The cursor is not valid.") from None
        mac, content = made[:_MAC], made[_MAC:]
        if not hmac.compare_digest(mac, self._mac(content)):
            raise InvalidCursor("The cursor was made for another list or another caller, or has expired.")
        try:
            return read(content.decode())
        except ValueError:  # A position of an earlier version.
            raise InvalidCursor("The cursor is not valid.") from None

    def _mac(self, content: bytes) -> bytes:
        message = repr((self.caller_id, self.parts)).encode() + b"\0" + content
        return hmac.digest(settings.cursor_key(), message, "sha256")[:_MAC]
