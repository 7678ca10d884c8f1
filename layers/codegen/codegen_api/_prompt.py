"""Prompts in arguments."""

from ._errors import InvalidArgumentError

# Characters that show nothing, besides white space.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"


def as_prompt(value: str) -> str:
    """Return a prompt.

    Raises:
        InvalidArgumentError: It has nothing to read: an agent that starts with it would cost a run for nothing.
    """
    if not isinstance(value, str):
        raise InvalidArgumentError(f"the prompt must be a text, not {type(value).__name__}")
    if not value.translate(dict.fromkeys(map(ord, _INVISIBLE))).strip():
        raise InvalidArgumentError("the prompt is empty")
    return value
