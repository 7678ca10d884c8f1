"""Ids in arguments: their validation and their form in a path."""

Id = int | str
"""An id: an integer, or its decimal digits as text. The Codegen API uses integers only."""


def as_id(value: Id) -> int:
    """Return an id as an integer, which needs no escaping in a path.

    Raises:
        ValueError: It is not a whole number.
    """
    if isinstance(value, bool) or (isinstance(value, str) and not (value.isascii() and value.isdecimal())):
        raise ValueError(f"not an id: {value!r}")
    return int(value)


def as_name(value: str) -> str:
    """Return an id that is a name, such as that of an agent, after checking that it needs no escaping in a path.

    Raises:
        ValueError: It is empty or has other characters than ASCII letters, digits, `_` and `-`.
    """
    if not value or not all(character.isascii() and (character.isalnum() or character in "_-") for character in value):
        raise ValueError(f"not an id: {value!r}")
    return value
