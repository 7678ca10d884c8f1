"""Acts: what operations do that the audit trail records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codegen_runs.redaction import redact

_LONGEST = 128  # Characters of an id. Ids of the Codegen API and of this deployment are shorter.
_LONGEST_WORD = 32
_MOST_ELEMENTS = 50


@dataclass(frozen=True)
class Act:
    """What an operation does.

    Attributes:
        name: What it is done to, a dot, and what is done: `run.cancel`.
        target: The parameter in the path or the query, or the field of the body, with the id of what it is done to.
            Empty if it is about the organization, or about something that does not exist yet.
        made: The field of the answer with the id of what was created.
        details: Parameters of the query and fields of the body that say what was wanted. Their values are numbers,
            truth values, fixed words, and lists or objects of these. Other texts are left out: they could be a prompt
            or a secret.
    """

    name: str
    target: str = ""
    made: str = ""
    details: tuple[str, ...] = ()

    def target_in(self, sent: Mapping[str, Any]) -> str | None:
        """Return the id of what it is done to, from the parameters and fields of a request."""
        return _id(sent.get(self.target))

    def made_in(self, answer: Mapping[str, Any]) -> str | None:
        """Return the id of what was created, from the fields of an answer."""
        return _id(answer.get(self.made))

    def details_in(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Return what was wanted, from the parameters and fields of a request."""
        return {name: plain for name in self.details if name in sent for plain in _plain(sent[name])}


def _id(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value):
        return None
    return str(redact(str(value)))[:_LONGEST]


def _plain(value: Any) -> Iterator[Any]:
    """Yield a value if it can be recorded, without the parts of it that cannot."""
    match value:
        case None | bool():
            yield value
        case int() if abs(value) < 2**53:
            yield value
        case str() if _is_word(value):
            yield value
        case list():
            yield [plain for each in value[:_MOST_ELEMENTS] for plain in _plain(each)]
        case dict():
            members = list(value.items())[:_MOST_ELEMENTS]
            yield {name: plain for name, each in members if _is_word(name) for plain in _plain(each)}


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST_WORD and text.isascii() and text.replace("_", "").replace(".", "").isalnum()
