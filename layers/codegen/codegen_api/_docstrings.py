"""Docstrings that a blocking and an asynchronous class share."""

from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)


def docstrings_from(blocking: type) -> Callable[[C], C]:
    """Copy the docstrings of a blocking class to the methods of the same names of an asynchronous class.

    So each text is written once, and `help()` shows it for both.
    """

    def copy(asynchronous: C) -> C:
        for name, method in vars(asynchronous).items():
            original = vars(blocking).get(name)
            if not name.startswith("_") and callable(method) and original is not None:
                method.__doc__ = original.__doc__
        return asynchronous

    return copy
