"""Answers that a client holds already: a strong ETag each, and 304 to who has it (RFC 9110)."""

import hashlib
import re
from typing import Any

Answer = dict[str, Any]

_DIGEST_CHARACTERS = 32
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def compared(answer: Answer, held: str | None) -> Answer:
    """Return the answer to a GET with its tag, or 304 where the client holds the very same one.

    Answers other than JSON with status 200 stay as they are. What the handler says of the tag, or of how the answer may
    be kept, stays said.

    Args:
        answer: The answer, as API Gateway takes it.
        held: The If-None-Match of the request.
    """
    headers: dict[str, list[str]] = answer["multiValueHeaders"]
    kind = (headers.get("Content-Type") or [""])[0]
    if answer["statusCode"] != 200 or not kind.startswith("application/json"):
        return answer
    digest = hashlib.sha256(answer["body"].encode()).hexdigest()[:_DIGEST_CHARACTERS]
    (tag,) = headers.get("ETag", [f'"{digest}"'])
    # For whoever asked, and not without asking again: the next caller may not see it, and the next answer may differ.
    headers |= {"ETag": [tag], "Cache-Control": headers.get("Cache-Control", ["private, no-cache"])}
    if held is None or not (held.strip() == "*" or tag in _TAG.findall(held)):
        return answer
    del headers["Content-Type"]
    return answer | {"statusCode": 304, "body": ""}
