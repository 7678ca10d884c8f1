"""Conditional requests (RFC 9110): each answer has a strong ETag; 304 if the client already has this version."""

import hashlib
import re
from typing import Any

Answer = dict[str, Any]

_DIGEST_CHARACTERS = 32
_TAG = re.compile(r'(?:W/)?("[^"]*")')


def tag_of(body: str) -> str:
    """Return the ETag of a body."""
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:_DIGEST_CHARACTERS]}"'


def compared(answer: Answer, if_none_match: str | None) -> Answer:
    """Return the answer to a GET with its ETag, or 304 if the client already has this version.

    Only answers with status 200 change, if they are JSON or have an ETag already, and not those with `no-store`. ETag
    and Cache-Control of the handler stay.

    Args:
        answer: The answer in the form of API Gateway.
        if_none_match: The If-None-Match of the request.
    """
    headers: dict[str, list[str]] = answer["multiValueHeaders"]
    kind = (headers.get("Content-Type") or [""])[0]
    if answer["statusCode"] != 200 or not (kind.startswith("application/json") or "ETag" in headers):
        return answer
    if headers.get("Cache-Control") == ["no-store"]:
        return answer
    (tag,) = headers.get("ETag") or [tag_of(answer["body"])]
    # Only this client may store the answer, and must revalidate it: other callers may not see it, and it can change.
    headers |= {"ETag": [tag], "Cache-Control": headers.get("Cache-Control", ["private, no-cache"])}
    if if_none_match is None or not (if_none_match.strip() == "*" or tag in _TAG.findall(if_none_match)):
        return answer
    del headers["Content-Type"]
    return answer | {"statusCode": 304, "body": ""}
