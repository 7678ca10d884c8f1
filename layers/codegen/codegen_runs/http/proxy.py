"""API Gateway's proxy events and answers, and what an event says about its request."""

import re
from typing import Any, Protocol

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.backend import Backend

Event = dict[str, Any]
Answer = dict[str, Any]

_ORGANIZATION = re.compile(r"(?:/v1(?:/alpha)?)?/organizations/([^/]+)")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Handler(Protocol):
    """A Lambda handler. Lambda passes two arguments; a test may pass the backend to work with as a third."""

    def __call__(self, event: Event, context: LambdaContext, backend: Backend | None = None) -> Answer:
        """Answer one event."""


def headers_of(event: Event) -> dict[str, str]:
    """Return the headers by their names in lower case."""
    return {name.lower(): value for name, value in (event.get("headers") or {}).items()}


def authorized(event: Event) -> dict[str, str]:
    """Return what the authorizer wrote; empty where there was none."""
    return event["requestContext"].get("authorizer") or {}


def named_organization(event: Event) -> str | None:
    """Return the organization that the path names, as it is written; None where the path names none.

    It is read from the very path that Powertools matches, so that the two cannot disagree.
    """
    found = _ORGANIZATION.match(event["path"])
    return found[1] if found else None


def request_id_of(event: Event) -> str:
    """Return the id that the caller gave the request if it is fit for a log, else the gateway's."""
    given = headers_of(event).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(event["requestContext"]["requestId"])
