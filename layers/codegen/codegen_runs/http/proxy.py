"""API Gateway's proxy events and answers, and the parts of a request in an event."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Protocol

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.backend import Backend
from codegen_runs.callers import token_in

Event = dict[str, Any]
Answer = dict[str, Any]

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Handler(Protocol):
    """A Lambda handler. Lambda passes two arguments; a test may pass the backend to work with as a third."""

    def __call__(self, event: Event, context: LambdaContext, backend: Backend | None = None) -> Answer:
        """Answer one event."""


def headers_of(event: Event) -> dict[str, str]:
    """Return the headers by their names in lower case."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


@dataclass(frozen=True)
class Call:
    """A request as it was sent.

    Attributes:
        headers: The names and values of the headers.
        content: The bytes of the body.
    """

    headers: tuple[tuple[str, str], ...]
    content: bytes

    @classmethod
    def of(cls, event: Event) -> Call:
        """Return the request in an event of API Gateway."""
        several = event.get("multiValueHeaders") or {}
        headers = tuple((name, value) for name, values in several.items() for value in values)
        return cls(headers, content_of(event))


def authorized(event: Event) -> dict[str, str]:
    """Return the context that the authorizer wrote; empty without an authorizer."""
    return event["requestContext"].get("authorizer") or {}


def content_of(event: Event) -> bytes:
    """Return the bytes of the body in an event of API Gateway; none if there is no body."""
    body = event.get("body") or ""
    return b64decode(body) if event.get("isBase64Encoded") else body.encode()


def decoded(content: bytes) -> str:
    """Return JSON as text. It may be UTF-8, UTF-16 or UTF-32, with or without a byte order mark, as Codegen reads it.

    Raises:
        ValueError: The bytes are not text in the encoding that they seem to have.
    """
    return content.decode(json.detect_encoding(content))


def plainly_encoded(event: Event) -> Event:
    """Return the event with a path in which only the characters are percent-encoded that must be (RFC 3986, 6.2.2)."""
    if "%" not in event["path"]:
        return event
    return event | {"path": _ENCODED.sub(_plain_character, event["path"])}


def _plain_character(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[1], 16))
    # The dot is left out: a segment of dots has a meaning of its own.
    return character if re.fullmatch(r"[A-Za-z0-9_~-]", character) else encoded[0].upper()


def request_id_of(event: Event) -> str:
    """Return the id of a request: the caller's, if it is safe to log, else the gateway's.

    A caller can also choose API Gateway's `requestId`, but not its `extendedRequestId`.
    """
    headers, context = headers_of(event), event["requestContext"]
    for given in (headers.get("x-request-id"), context["requestId"]):
        if given and _is_loggable(given, token_in(headers)):
            return str(given)
    return str(context.get("extendedRequestId", "unknown"))


def _is_loggable(request_id: str, token: str | None) -> bool:
    """Return whether an id has the form of one, and is neither the token of the request nor looks like a secret."""
    if token and token in request_id:
        return False
    if _UUID.fullmatch(request_id):
        return True
    # Imported here, because API Gateway's own ids do not need it.
    from codegen_runs.redaction import redact

    return bool(_REQUEST_ID.fullmatch(request_id)) and redact(request_id) == request_id
