"""Docstrings that the blocking and the asynchronous class of a pair share."""

from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)


def docstrings_from(blocking: type) -> Callable[[C], C]:
    """Give each method of an asynchronous class the docstring that the blocking class has for the same method.

    So each text is written once, and `help()` shows it for both.
    """

    def copy(asynchronous: C) -> C:
        for name, method in vars(asynchronous).items():
            original = vars(blocking).get(name)
            if not name.startswith("_") and callable(method) and original is not None:
                method.__doc__ = original.__doc__
        return asynchronous

    return copy
