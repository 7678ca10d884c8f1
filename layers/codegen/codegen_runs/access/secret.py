"""The format of an API token of this deployment: `cgr_`, forty random characters, and six characters of a checksum.

Secret scanners, people and the authorizer recognise the token by its prefix. With the checksum, a mistyped token is
refused without a call to any service. The checksum is no secret: all of the randomness is in the forty characters.
"""

import re
import secrets
from hashlib import sha256
from zlib import crc32

PREFIX = "cgr_"
SHOWN = len(PREFIX) + 6
"""How many characters of a token a list shows, so that its creator recognises it."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 40  # Of 62 characters: 238 bits.
_CHECK = 6  # 62 ** 6 is more than the 2 ** 32 of a CRC.
_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_RANDOM}}})([0-9A-Za-z]{{{_CHECK}}})")


def mint() -> str:
    """Create a token."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return PREFIX + random + _check(random)


def claims_to_be_one(token: str) -> bool:
    """Return whether a token has the prefix of this deployment. Such a token is never sent to Codegen."""
    return token.startswith(PREFIX)


def is_well_formed(token: str) -> bool:
    """Return whether a token has the format of `mint`, with the right checksum."""
    match = _FORM.fullmatch(token)
    return match is not None and _check(match[1]) == match[2]


def digest(token: str) -> str:
    """Return the hexadecimal SHA-256 of a token, which is stored instead of the token."""
    return sha256(token.encode()).hexdigest()


def _check(random: str) -> str:
    number, letters = crc32(random.encode()), []
    for _ in range(_CHECK):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "".join(reversed(letters))
