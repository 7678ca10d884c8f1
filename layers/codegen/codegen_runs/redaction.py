"""Masks secrets: text that looks like a token, a key or a password is replaced before it is stored or shown.

`secret_forms` has the forms of tokens, and `secret_names` the names whose values are secrets.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

# Texts of these lengths are often masked again: a watch is written with each poll.
_LONG, _VERY_LONG = 500, 70_000

# No shorter text has a secret.
_SHORTEST = 8

_ROUNDS = 8


def redact(value: Any) -> Any:
    """Return a JSON value in which every text that looks like a secret is masked, also in names of members.

    A secret may also be split between members and elements: `{"password": "x"}`, `{"name": "PASSWORD", "value": "x"}`,
    `["--password", "x"]`. Masking twice is the same as masking once.
    """
    if isinstance(value, str):
        return _again(value) if _LONG < len(value) < _VERY_LONG else _masked(value)
    if isinstance(value, list):
        before = [None, *value]
        return [_element(name, element) for name, element in zip(before, value, strict=False)]
    if isinstance(value, dict):
        named = value.get("name") or value.get("key") or value.get("Name") or value.get("Key")
        return {redact(name): _member(name, member, named) for name, member in value.items()}
    return value


def _element(before: Any, element: Any) -> Any:
    if isinstance(before, str) and before.startswith("-") and isinstance(element, str):
        from codegen_runs.secret_forms import MASK
        from codegen_runs.secret_names import is_secret

        if is_secret(before, element):
            return MASK
    return redact(element)


def _member(name: Any, member: Any, named: Any) -> Any:
    if isinstance(name, str) and name.lower() == "value" and isinstance(named, str):
        name = named
    if not isinstance(name, str) or not isinstance(member, str):
        return redact(member)
    from codegen_runs.secret_forms import MASK
    from codegen_runs.secret_names import is_secret

    if not is_secret(name, member):
        return redact(member)
    shown = redact(member)
    return shown if isinstance(shown, str) and MASK in shown and " " in shown else MASK


def _masked(text: str) -> str:
    """Mask a text until nothing more is found: the end of one secret can be the beginning of the next one."""
    # Imported here, because every function imports this module, and the expressions take some milliseconds.
    from codegen_runs.secret_forms import mask_forms
    from codegen_runs.secret_names import mask_named

    for _ in range(_ROUNDS if len(text) >= _SHORTEST else 0):
        forms = mask_forms(text, text.lower())
        # The one letter whose small form has two characters would shift the places.
        masked = mask_named(forms, forms.replace("\u0130", "I").lower())
        if masked == text:
            break
        text = masked
    return text


_again = lru_cache(128)(_masked)
