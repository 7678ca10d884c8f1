"""Forwarding the calls of Codegen's webhook, unchanged, to the address that it had before the doorbell.

A call waits in the queue of deliveries with all that is needed to send it, so a doorbell that is turned off in the
meantime loses none. It is tried as often as a message to a webhook endpoint. Nothing is recorded about it.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from codegen_runs.logs import logger
from codegen_runs.problems import TooLarge
from codegen_runs.webhook_endpoints import announcing
from codegen_runs.webhook_endpoints.delivering import ATTEMPTS, delay_after
from codegen_runs.webhook_endpoints.posting import Post, host_of

MOST_BYTES = 250_000
"""The most bytes of a call in the queue. SQS allows 256 KiB."""

# Headers of the connection, and those that API Gateway, CloudFront or the sending of the call itself add.
_OWN = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade"),
        *("accept-encoding", "content-length", "expect", "forwarded", "host", "transfer-encoding", "via"),
    }
)
_PREFIXES = ("cloudfront-", "x-amz-cf-", "x-amzn-", "x-forwarded-")


class Call(BaseModel):
    """A call of Codegen's webhook.

    Attributes:
        url: Where it is sent.
        headers: Its headers, by their names in lower case.
        body: Its body in base64.
    """

    model_config = ConfigDict(frozen=True)

    url: str
    headers: dict[str, str]
    body: str


def forward(url: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
    """Put a call into the queue. Raises `TooLarge`, `StorageUnavailable`."""
    kept: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower not in _OWN and not lower.startswith(_PREFIXES):
            kept[lower] = f"{kept[lower]}, {value}" if lower in kept else value
    call = Call(url=url, headers=kept, body=base64.b64encode(body).decode())
    message = json.dumps({"forward": call.model_dump()}, separators=(",", ":"))
    if len(message) > MOST_BYTES:
        raise TooLarge(
            f"A call that is forwarded may have {MOST_BYTES} bytes in the queue; this one has {len(message)}.",
            remedy="Send a smaller body.",
        )
    announcing.put(message)


def send(
    call: Mapping[str, object], received: int, *, post: Post, spread: Callable[[], float] = random.random
) -> int | None:
    """Try to send a call. Return None if it was taken, else the seconds until the queue hands it out again.

    Args:
        call: The `Call`, as it was in the queue.
        received: How often the queue has handed it out, this time included. After the last try, a call is only handed
            out until the queue moves it to those that were not delivered.
        post: Sends a request.
        spread: Returns a number from 0 to 1, for the delay.
    """
    if received > ATTEMPTS:
        return 0
    sent = Call.model_validate(call)
    headers = sent.headers | {"host": host_of(sent.url)}
    answer = post(sent.url, headers, base64.b64decode(sent.body))
    if answer.accepted:
        return None
    logger.warning("A forwarded webhook was not taken.", status=answer.status, error=answer.error, tries=received)
    return 0 if received == ATTEMPTS else delay_after(received, spread())
