"""What the reply of a judge says about labelled candidates: a verdict, or why it is none.

A judge is asked for one JSON object. It may be the whole reply, or be in one block of code. Where a reply has no JSON,
one label is read: as the whole reply, or in one of a few phrases at the beginning of the first or the last line. "A"
and "I" are words as well as letters, so a letter elsewhere in a sentence is never a choice, and with nine candidates or
more the labels are `C01`, `C02`, ... Everything else is no vote: what a judge did not clearly say is not guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_uppercase
from typing import Any

# From this number of candidates on, letters are not used as labels: the ninth would be "I".
FIRST_NUMBERED = 9

MOST_REPLY_CHARACTERS = 60_000
MOST_REASON_CHARACTERS = 600
MOST_DISAGREEMENTS = 20

_LONGEST_PHRASE = 200  # The characters of a line that are read.
_MARKUP = re.compile(r"[*_`#>\"'\u2018\u2019\u201c\u201d\[\]{}]+")

# One block of code, after at most one line that announces it.
_BLOCK = re.compile(
    r"\s*(?:[^\n`~{}]{1,120}:\s*\n)?\s*(?P<fence>`{3,}|~{3,})[ \t]*(?:json)?[ \t]*\n(?P<json>.*?)\n[ \t]*(?P=fence)\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Verdict:
    """What a judge says.

    Attributes:
        ranking: Labels, the best first. Those that are missing come after them and are equal.
        reasons: A reason for each label that has one.
        disagreements: Where the candidates contradict each other, as the judge puts it.
        none_acceptable: Whether the judge finds no candidate acceptable.
    """

    ranking: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    disagreements: tuple[str, ...] = ()
    none_acceptable: bool = False


@dataclass(frozen=True)
class NoVote:
    """A reply that is no verdict."""

    reason: str


def labels_for(count: int) -> list[str]:
    """Return the labels of so many candidates."""
    if count < FIRST_NUMBERED:
        return list(ascii_uppercase[:count])
    return [f"C{number:0{max(2, len(str(count)))}d}" for number in range(1, count + 1)]


def verdict(reply: str, labels: Sequence[str]) -> Verdict | NoVote:
    """Return what a reply says about candidates with these labels."""
    text = reply.strip()
    if not text:
        return NoVote("The reply is empty.")
    if len(text) > MOST_REPLY_CHARACTERS:
        return NoVote("The reply is too long.")
    block = _BLOCK.fullmatch(text)
    content = block["json"].strip() if block else text
    if content.startswith(("{", "[")):
        return _in_json(content, labels)
    if "{" in text and "ranking" in text:
        return NoVote("The reply has JSON among other text.")
    label = choice(text, labels)
    return Verdict((label,)) if label else NoVote("The reply is neither the JSON object nor one label.")


def object_in(reply: str) -> dict[str, Any] | NoVote:
    """Return the one JSON object that a reply consists of, or that is in its one block of code."""
    text = reply.strip()
    if len(text) > MOST_REPLY_CHARACTERS:
        return NoVote("The reply is too long.")
    block = _BLOCK.fullmatch(text)
    found = _parsed(block["json"].strip() if block else text)
    if isinstance(found, (dict, NoVote)):
        return found
    return NoVote("The reply is not a JSON object.")


def choice(reply: str, labels: Collection[str]) -> str | None:
    """Return the one label that a reply chooses; None if it chooses none, several, or one that is not in `labels`.

    Args:
        reply: The text of the reply.
        labels: The labels of the candidates: capital letters, or all numbered as by `labels_for`.
    """
    phrases = _numbered_phrases() if any(len(label) > 1 for label in labels) else _letter_phrases()
    lines = [text for line in reply.splitlines() if (text := _MARKUP.sub("", line).strip())]
    chosen = {label for line in {*lines[:1], *lines[-1:]} if (label := phrases.choice(line[:_LONGEST_PHRASE]))}
    label = chosen.pop() if len(chosen) == 1 else None
    return label if label in labels else None


class _Invalid(Exception):  # noqa: N818 - not an error: the reply is no vote
    """The JSON of a reply is not a verdict."""


def _in_json(content: str, labels: Sequence[str]) -> Verdict | NoVote:
    found = _parsed(content)
    if isinstance(found, NoVote):
        return found
    try:
        return _read(found, labels)
    except _Invalid as invalid:
        return NoVote(str(invalid))


def _parsed(content: str) -> Any | NoVote:
    try:
        return json.loads(content, object_pairs_hook=_object)
    except _Invalid as invalid:
        return NoVote(str(invalid))
    except RecursionError:
        return NoVote("The JSON is nested too deeply.")
    except ValueError as error:
        has_more = "Extra data" in str(error)
        return NoVote("There is something after the JSON." if has_more else "The JSON is incomplete or invalid.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(name for name, _ in pairs if sum(other == name for other, _ in pairs) > 1)
        raise _Invalid(f"The JSON has {name!r} twice.")
    return found


def _read(found: Any, labels: Sequence[str]) -> Verdict:
    if not isinstance(found, dict) or "ranking" not in found:
        raise _Invalid("The JSON has no ranking.")
    none_acceptable = found.get("none_acceptable", False)
    if not isinstance(none_acceptable, bool):
        raise _Invalid("none_acceptable is neither true nor false.")
    ranking = [_label(each, labels) for each in _list(found, "ranking")]
    if repeated := next((label for label in ranking if ranking.count(label) > 1), None):
        raise _Invalid(f"The ranking has {repeated} twice.")
    if not ranking and not none_acceptable:
        raise _Invalid("The ranking is empty.")
    reasons = found.get("reasons") or {}
    if not isinstance(reasons, dict):
        raise _Invalid("reasons is not an object.")
    return Verdict(
        ranking=tuple(ranking),
        reasons={_label(label, labels): _text(reason) for label, reason in reasons.items()},
        disagreements=tuple(_text(each) for each in _list(found, "disagreements")[:MOST_DISAGREEMENTS]),
        none_acceptable=none_acceptable,
    )


def _list(found: Mapping[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Invalid(f"{name} is not a list.")
    return value


def _label(value: Any, labels: Sequence[str]) -> str:
    label = value.strip().upper() if isinstance(value, str) else value
    if label not in labels:
        raise _Invalid(f"{str(value)[:40]!r} is no candidate.")
    return str(label)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Invalid("A reason or a disagreement is not a text.")
    return " ".join(value.split())[:MOST_REASON_CHARACTERS]


_NOUN = r"(?:(?:candidate|answer|option|response|solution)\s+)"
_BEST = (
    r"(?:(?:the\s+)?(?:best|strongest|superior|winner|correct|right\s+(?:one|choice)|(?:clear|obvious)\s+winner)\b"
    r"|better\b(?!.*\b{label}\s+is\b))"
)


class _Phrases:
    """The places in which a label is a choice.

    Args:
        label: A pattern for a label in the middle of a phrase.
        last: The same where nothing follows it.
    """

    def __init__(self, label: str, last: str) -> None:
        self._whole = re.compile(rf"\W*{_NOUN}?\W*(?P<label>{last})\W*", re.IGNORECASE)
        # What follows the label where it is the choice: the end of the sentence or a reason, and no second label.
        ended = (
            rf"(?P<label>{label}|(?i:{last})(?=\W*$))"
            r"(?=\W*$|\s*[.:;!(]|\s*,?\s+(?:[-\u2013\u2014]|(?i:because|since|as|for|over)\b))"
            rf"(?!\W+{label}\s*[.:;,)])"
        )
        self._phrases = [
            re.compile(pattern)
            for pattern in (
                # "Answer: B (A and C are weaker)", "My choice is candidate B.", "The best one is B"
                r"(?i:(?:(?:the|my|final)\s+)*(?:(?:best|strongest|winning|selected)\s+)?(?:answer|candidate|choice|decision"
                r"|one|option|pick|response|selection|solution|verdict|vote|winner|best)"
                rf"\s*(?:\s+is\b\s*:?|[:=]|[-\u2013\u2014])\s*{_NOUN}?){ended}",
                # "I choose B.", "We would pick candidate B because ..."
                r"(?i:(?:i|we)(?:\s+(?:would|will|have\s+to))?\s+(?:choose|chose|pick|prefer|select|recommend|vote\s+for"
                rf"|go\s+with)\s+{_NOUN}?){ended}",
                # "B is best. A misses the edge case.", "Candidate B wins"
                rf"(?i:{_NOUN})?(?P<label>{label})(?i:\s+(?:wins\b|is\s+(?:clearly\s+|easily\s+|by\s+far\s+)?"
                rf"{_BEST.replace('{label}', f'(?-i:{label})')}))",
                # "B. It names the cause.", "B: the others miss it", "B, because ...", "B) ..."
                rf"(?i:{_NOUN})?(?P<label>{label})(?:\s*[.:;)]|\s+[-\u2013\u2014]\s|\s*,?\s+(?i:because|since)\b)"
                rf"(?!\W*{label}\s*[.:;,)])",
            )
        ]

    def choice(self, line: str) -> str | None:
        """Return the label that a line chooses."""
        found = self._whole.fullmatch(line) or next(
            (found for phrase in self._phrases if (found := phrase.match(line))), None
        )
        return found["label"].upper() if found else None


@lru_cache(maxsize=1)
def _letter_phrases() -> _Phrases:
    return _Phrases("[A-Z]", "[a-z]")


@lru_cache(maxsize=1)
def _numbered_phrases() -> _Phrases:
    return _Phrases(r"C\d{2,4}", r"c\d{2,4}")
