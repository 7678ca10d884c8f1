"""A table in which another writer writes first."""

from collections.abc import Callable
from typing import Any


class Overtaken:
    """A table with a method before which another writer acts.

    Args:
        table: The table that does the work.
        method: The name of the method.
        act: What the other writer does.
        times: How often the other writer acts; None for before each call.
    """

    def __init__(self, table: Any, method: str, act: Callable[[], object], *, times: int | None = 1) -> None:
        self._table = table
        self._method = method
        self._act = act
        self._left = times

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._table, name)
        if name != self._method:
            return real

        def overtaken(*args: Any, **more: Any) -> Any:
            # Counted before the act, which may call this table too.
            if self._left is None:
                self._act()
            elif self._left > 0:
                self._left -= 1
                self._act()
            return real(*args, **more)

        return overtaken
