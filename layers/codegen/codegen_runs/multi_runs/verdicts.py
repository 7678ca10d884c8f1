"""What a reply chooses among labelled candidates.

A label is one capital letter, and "A" and "I" are words as well. So a letter counts only where a choice is expected: as
the whole reply, or in one of a few phrases at the beginning of the first or the last line. A letter elsewhere in a
sentence is never a choice.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_LONGEST_PHRASE = 200  # The characters of a line that are read.
_MARKUP = re.compile(r"[*_`#>\"'\u2018\u2019\u201c\u201d\[\]{}]+")

_NOUN = r"(?:(?:candidate|answer|option|response|solution)\s+)"
_BEST = (
    r"(?:(?:the\s+)?(?:best|strongest|superior|winner|correct|right\s+(?:one|choice)|(?:clear|obvious)\s+winner)\b"
    r"|better\b(?!.*\b[A-Z]\s+is\b))"
)

_WHOLE = re.compile(rf"\W*{_NOUN}?\W*(?P<label>[a-z])\W*", re.IGNORECASE)

# What follows the label where it is the choice: the end of the sentence or a reason, and no second label.
_LABEL = (
    r"(?P<label>[A-Z]|[a-z](?=\W*$))(?=\W*$|\s*[.:;!(]|\s*,?\s+(?:[-\u2013\u2014]|(?i:because|since|as|for|over)\b))"
    r"(?!\W+[A-Z]\s*[.:;,)])"
)

_PHRASES = [
    re.compile(pattern)
    for pattern in (
        # "Answer: B (A and C are weaker)", "My choice is candidate B.", "The best one is B"
        rf"(?i:(?:(?:the|my|final)\s+)*(?:(?:best|strongest|winning|selected)\s+)?(?:answer|candidate|choice|decision|one|"
        rf"option|pick|response|selection|solution|verdict|vote|winner|best)\s*(?:\s+is\b\s*:?|[:=]|[-\u2013\u2014])\s*{_NOUN}?)"
        rf"{_LABEL}",
        # "I choose B.", "We would pick candidate B because ..."
        rf"(?i:(?:i|we)(?:\s+(?:would|will|have\s+to))?\s+(?:choose|chose|pick|prefer|select|recommend|vote\s+for|go\s+with)"
        rf"\s+{_NOUN}?){_LABEL}",
        # "B is best. A misses the edge case.", "Candidate B wins"
        rf"(?i:{_NOUN})?(?P<label>[A-Z])(?i:\s+(?:wins\b|is\s+(?:clearly\s+|easily\s+|by\s+far\s+)?{_BEST}))",
        # "B. It names the cause.", "B: the others miss it", "B, because ...", "B) ..."
        rf"(?i:{_NOUN})?(?P<label>[A-Z])(?:\s*[.:;)]|\s+[-\u2013\u2014]\s|\s*,?\s+(?i:because|since)\b)(?!\W*[A-Z]\s*[.:;,)])",
    )
]


def choice(reply: str, labels: Collection[str]) -> str | None:
    """Return the one label that a reply chooses; None if it chooses none, several, or one that is not in `labels`.

    Args:
        reply: The text of the reply.
        labels: The labels of the candidates, capital letters.
    """
    lines = [text for line in reply.splitlines() if (text := _MARKUP.sub("", line).strip())]
    chosen = {label for line in {*lines[:1], *lines[-1:]} if (label := _choice_of_line(line[:_LONGEST_PHRASE]))}
    label = chosen.pop() if len(chosen) == 1 else None
    return label if label in labels else None


def _choice_of_line(line: str) -> str | None:
    found = _WHOLE.fullmatch(line) or next((found for phrase in _PHRASES if (found := phrase.match(line))), None)
    return found["label"].upper() if found else None
