"""Items of the Codegen API of which something cannot be read.

A field of such an item has the nearest value of the documented type, or an empty one: an id that cannot be read is 0.
An item that is no object is kept as `raw`, and all its other fields are empty.
"""

from typing import Annotated, Protocol

from pydantic import Field

Unreadable = Annotated[
    list[str],
    Field(description="Codegen's fields whose value is missing or has another type than the documented one."),
]


class _Item(Protocol):
    @property
    def id(self) -> int: ...

    @property
    def unreadable(self) -> list[str]: ...


def is_identified(item: _Item) -> bool:
    """Return whether the id of an item could be read, if only as the nearest value: `"5"` as 5."""
    return bool(item.id) or not {"id", "raw"} & {*item.unreadable}
