"""Posting to open WebSockets through API Gateway's management API, and what can come of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from codegen_runs import settings
from codegen_runs.aws import AwsError, Unanswered, connections
from codegen_runs.aws.services import ConnectionsClient

POST_SECONDS = 3.0
"""How long one post may take."""

THREADS = 16
"""How many posts are under way at a time."""


class Gone(Exception):  # noqa: N818 - API Gateway's own word
    """The connection is closed, or never was."""


class Congested(Exception):  # noqa: N818 - what happened, and no fault
    """Nothing was sent, because the client does not read what it was sent before, or the API is too busy."""


class EffectUnknown(Exception):  # noqa: N818 - what happened, and no fault
    """Nobody knows whether the frame was sent."""


class Connections(Protocol):
    """What can be done to an open connection."""

    def post(self, connection_id: str, frame: bytes) -> None:
        """Send a frame. Raises `Gone`, `Congested`, `EffectUnknown`."""

    def close(self, connection_id: str) -> None:
        """Close a connection. Raises `Gone`, `Congested`, `EffectUnknown`."""


class GatewayConnections:
    """The connections of the deployment's WebSocket API."""

    def post(self, connection_id: str, frame: bytes) -> None:
        """See `Connections.post`."""
        with _errors():
            _client().post_to_connection(ConnectionId=connection_id, Data=frame)

    def close(self, connection_id: str) -> None:
        """See `Connections.close`."""
        with _errors():
            _client().delete_connection(ConnectionId=connection_id)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except Unanswered as error:
        if error.sent:
            raise EffectUnknown("API Gateway did not answer.") from error
        raise Congested("API Gateway could not be reached.") from error
    except AwsError as error:
        # A malformed id, too, is one that nobody is behind.
        if error.code in ("GoneException", "BadRequestException"):
            raise Gone from error
        if error.status < 500:
            raise Congested(f"API Gateway answered {error.code}.") from error
        raise EffectUnknown(f"API Gateway answered {error.code}.") from error


def _client() -> ConnectionsClient:
    return connections(settings.required("WEBSOCKET_ENDPOINT"), POST_SECONDS)
