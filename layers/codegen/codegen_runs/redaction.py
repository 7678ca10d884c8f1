"""Masks secrets: text that looks like a token, a key or a password is replaced before it is stored or shown.

`secret_forms` has the forms of tokens, `secret_names` the names whose values are secrets, and `secret_commands` the
commands that take a secret without a name.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

# Masked texts are remembered: a watch is written with each poll, and names, statuses and paths come again and again.
_SHORT, _LONG = 500, 70_000

# No shorter text has a secret.
_SHORTEST = 8

# Numbers with fewer digits are counts.
_DIGITS = 4

_ROUNDS = 8


def redact(value: Any) -> Any:
    """Return a JSON value in which every text that looks like a secret is masked, also in names of members.

    A secret may also be split between members and elements: `{"password": "x"}`, `{"name": "PASSWORD", "value": "x"}`,
    `{"password": ["x", {"value": "x"}]}`, `["--password", "x"]`, `["mysql", "-px"]`. Masking twice is the same as
    masking once.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        before = [None, *value]
        return [_element(value[0], name, element) for name, element in zip(before, value, strict=False)]
    if isinstance(value, dict):
        return _object(value, None)
    return value


def _text(text: str) -> str:
    if len(text) < _SHORTEST:
        return text
    if len(text) < _SHORT:
        return _short(text)
    return _long(text) if len(text) < _LONG else _masked(text)


def _element(command: Any, before: Any, element: Any) -> Any:
    if not (isinstance(command, str) and isinstance(before, str) and isinstance(element, str)):
        return redact(element)
    if before.startswith("-") and _kind(before) and _is_secret(before, element):
        return _mask()
    return _text(_argument(command, before, element))


def _object(value: dict[Any, Any], outer: str | None) -> dict[Any, Any]:
    """Mask an object, which may be the value of a member with a secret's name, `outer`."""
    named = value.get("name") or value.get("key") or value.get("Name") or value.get("Key")
    if not isinstance(named, str) or (outer and _kind(named) is None):
        named = outer
    return {
        _text(name) if isinstance(name, str) else name: _member(name, member, named) for name, member in value.items()
    }


def _member(name: Any, member: Any, named: str | None) -> Any:
    if named and isinstance(name, str) and name.lower() == "value":
        name = named
    if isinstance(name, str) and isinstance(member, list):
        name = name.removesuffix("s")
    return redact(member) if not isinstance(name, str) or _kind(name) is None else _secret(name, member)


def _secret(name: str, value: Any) -> Any:
    """Mask what a member with a secret's name has: texts and numbers, also in lists and in `{"value": ...}`."""
    if isinstance(value, list):
        return [_secret(name, element) for element in value]
    if isinstance(value, dict):
        return _object(value, name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _mask() if len(str(value)) >= _DIGITS and _is_secret(name, str(value)) else value
    if not isinstance(value, str):
        return value
    shown = _text(value)
    if not _is_secret(name, value) or (_mask() in shown and " " in shown):
        return shown
    return _mask()


# What follows imports the expressions when the first text is masked: every function imports this module, and they take
# some milliseconds.


@cache
def _mask() -> str:
    from codegen_runs.secret_forms import MASK

    return MASK


@lru_cache(2048)
def _kind(name: str) -> str | None:
    if len(name) > _SHORT:
        return None
    from codegen_runs.secret_names import kind_of

    return kind_of(name)


def _is_secret(name: str, value: str) -> bool:
    from codegen_runs.secret_names import is_secret

    return is_secret(name, value)


def _argument(command: str, before: str, argument: str) -> str:
    from codegen_runs.secret_commands import mask_argument

    return mask_argument(command, before, argument)


def _masked(text: str) -> str:
    """Mask a text until nothing more is found: the end of one secret can be the beginning of the next one."""
    from codegen_runs.secret_commands import mask_commands
    from codegen_runs.secret_forms import mask_forms
    from codegen_runs.secret_names import mask_named

    for _ in range(_ROUNDS):
        masked = mask_commands(mask_forms(text, text.lower()))
        # The one letter whose small form has two characters would shift the places.
        masked = mask_named(masked, masked.replace("\u0130", "I").lower())
        if masked == text:
            break
        text = masked
    return text


_short = lru_cache(2048)(_masked)
_long = lru_cache(128)(_masked)
