"""Search for words as people see them: text that looks the same is the same, in upper and in lower case.

This is compatibility caseless matching (The Unicode Standard, chapter 3.13, definition D146), with two additions: what
is invisible does not count, and neither does the dot of an i, because upper and lower case assign it differently in
Turkish. Other accents count: `resume` does not find `résumé`.
"""

import re
from unicodedata import normalize

# Unicode's property Default_Ignorable_Code_Point: soft hyphens, joiners, directional marks, variation selectors.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_DOTTED = re.compile("i\u0307+")
_DOTLESS = "\u0131"


def folded(text: str) -> str:
    """Return a text in the form in which texts are compared and searched; it is not meant to be shown."""
    if text.isascii():
        return text.lower()
    decomposed = normalize("NFKD", normalize("NFKD", normalize("NFD", text).casefold()).casefold())
    visible = _INVISIBLE.sub("", decomposed).replace(_DOTLESS, "i")
    return normalize("NFKC", _DOTTED.sub("i", visible))


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text, each as `folded` returns it."""
    return tuple(folded(text).split())
