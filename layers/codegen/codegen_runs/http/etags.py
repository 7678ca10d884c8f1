"""Answers that a client holds already: a strong ETag each, and 304 to who has it (RFC 9110)."""

import hashlib
import re
from typing import Any

Answer = dict[str, Any]

_DIGEST_CHARACTERS = 32
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def tag_of(body: str) -> str:
    """Return the tag of a body."""
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:_DIGEST_CHARACTERS]}"'


def compared(answer: Answer, held: str | None) -> Answer:
    """Return the answer to a GET with its tag, or 304 where the client holds the very same one.

    Answers other than JSON with status 200, and those that nobody is to keep, stay as they are. What the handler says
    of the tag, or of how the answer may be kept, stays said.

    Args:
        answer: The answer, as API Gateway takes it.
        held: The If-None-Match of the request.
    """
    headers: dict[str, list[str]] = answer["multiValueHeaders"]
    kind = (headers.get("Content-Type") or [""])[0]
    if answer["statusCode"] != 200 or not kind.startswith("application/json"):
        return answer
    if headers.get("Cache-Control") == ["no-store"]:
        return answer
    (tag,) = headers.get("ETag") or [tag_of(answer["body"])]
    # For whoever asked, and not without asking again: the next caller may not see it, and the next answer may differ.
    headers |= {"ETag": [tag], "Cache-Control": headers.get("Cache-Control", ["private, no-cache"])}
    if held is None or not (held.strip() == "*" or tag in _TAG.findall(held)):
        return answer
    del headers["Content-Type"]
    return answer | {"statusCode": 304, "body": ""}
