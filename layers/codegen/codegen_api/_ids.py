"""Ids as arguments, checked and in the form that a path takes."""

Id = int | str
"""An id: an integer, or its decimal digits as text. The upstream's own are integers everywhere."""


def as_id(value: Id) -> int:
    """Return an id as the integer the upstream expects. It is then safe in a path as it stands.

    Raises:
        ValueError: It is not a whole number.
    """
    if isinstance(value, bool) or (isinstance(value, str) and not (value.isascii() and value.isdecimal())):
        raise ValueError(f"not an id: {value!r}")
    return int(value)


def as_name(value: str) -> str:
    """Return an id that is a name, such as an agent's, for use in a path.

    Raises:
        ValueError: It is none: letters, digits, `_` and `-` are what names are made of.
    """
    if not value or not all(character.isascii() and (character.isalnum() or character in "_-") for character in value):
        raise ValueError(f"not an id: {value!r}")
    return value
