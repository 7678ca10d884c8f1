"""Sending one message: an HTTP request without redirects, within ten seconds, of whose answer little is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpcore
import httpx

from codegen_runs.webhook_endpoints.addresses import AddressRefused, CheckedBackend

SECONDS = 10.0
ANSWER_BYTES = 4096
ANSWER_CHARACTERS = 500


def host_of(url: str) -> str:
    """Return the value of the header Host for a URL."""
    return url.split("/")[2].rpartition("@")[2]


@dataclass(frozen=True)
class Answer:
    """The answer of an endpoint, or why there is none."""

    status: int | None = None
    text: str | None = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the endpoint took the message."""
        return self.status is not None and 200 <= self.status < 300


Post = Callable[[str, Mapping[str, str], str | bytes], Answer]
"""Sends a body with headers to a URL. Raises nothing."""


class Poster:
    """Sends messages. One connection each, because an endpoint gets few of them.

    Args:
        network: Makes the connections.
        now: The time in seconds, from any start.
    """

    def __init__(
        self, network: httpcore.NetworkBackend | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._network = network or CheckedBackend()
        self._now = now

    def __call__(self, url: str, headers: Mapping[str, str], body: str | bytes) -> Answer:
        """See `Post`."""
        until = self._now() + SECONDS
        content = body.encode() if isinstance(body, str) else body
        timeouts = {"connect": SECONDS, "read": SECONDS, "write": SECONDS, "pool": SECONDS}
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=httpx.create_ssl_context(), network_backend=self._network, max_keepalive_connections=0
                ) as pool,
                pool.stream(
                    "POST", url, headers=list(headers.items()), content=content, extensions={"timeout": timeouts}
                ) as response,
            ):
                answer = b""
                for part in response.iter_stream():
                    answer += part
                    if len(answer) >= ANSWER_BYTES or self._now() >= until:
                        break
                return Answer(response.status, answer[:ANSWER_BYTES].decode("utf-8", "replace")[:ANSWER_CHARACTERS])
        except AddressRefused as error:
            return Answer(error=str(error))
        except httpcore.TimeoutException:
            return Answer(error=f"No answer within {SECONDS:.0f} s.")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
            return Answer(error=f"{type(error).__name__}: {error}"[:ANSWER_CHARACTERS])
