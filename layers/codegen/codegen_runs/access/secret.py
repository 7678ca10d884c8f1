"""The form of an API token of this deployment: `cgr_`, forty random characters, and six that check them.

The prefix tells a scanner, a person and the authorizer what it is; the checksum tells a typing error from a token that
was revoked without asking anybody. Who knows the checksum knows nothing: all of the secret is in the forty.
"""

import re
import secrets
from hashlib import sha256
from zlib import crc32

PREFIX = "cgr_"
SHOWN = len(PREFIX) + 6
"""Characters of a token that a list shows, for its maker to know it by."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 40  # Of 62 characters: 238 bits.
_CHECK = 6  # 62 ** 6 is more than the 2 ** 32 of a CRC.
_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_RANDOM}}})([0-9A-Za-z]{{{_CHECK}}})")


def mint() -> str:
    """Make a new token."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return PREFIX + random + _check(random)


def claims_to_be_one(token: str) -> bool:
    """Tell whether a token is meant to be one of this deployment: it is never shown to Codegen."""
    return token.startswith(PREFIX)


def is_well_formed(token: str) -> bool:
    """Tell whether a token may have been made by `mint`."""
    found = _FORM.fullmatch(token)
    return found is not None and _check(found[1]) == found[2]


def digest(token: str) -> str:
    """Return what is stored of a token: the hexadecimal SHA-256."""
    return sha256(token.encode()).hexdigest()


def _check(random: str) -> str:
    number, letters = crc32(random.encode()), []
    for _ in range(_CHECK):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters))
