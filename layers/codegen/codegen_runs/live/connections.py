"""Posting to open WebSockets through API Gateway's management API, and the errors of a post."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from codegen_runs import settings
from codegen_runs.aws import AwsError, Unanswered, connections
from codegen_runs.aws.services import ConnectionsClient

POST_SECONDS = 3.0
"""The longest time of one post."""

THREADS = 16
"""How many posts are sent at the same time."""


class Gone(Exception):  # noqa: N818 - API Gateway's name for it
    """The connection is closed, or it never existed."""


class Congested(Exception):  # noqa: N818 - a state, not a fault
    """The frame was not sent: the client reads too slowly, or the API throttles or cannot be reached."""


class EffectUnknown(Exception):  # noqa: N818 - a state, not a fault
    """The frame may or may not have been sent."""


class Connections(Protocol):
    """The operations on open connections."""

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
        raise Congested("Could not reach API Gateway.") from error
    except AwsError as error:
        # A malformed connection id belongs to no connection either.
        if error.code in ("GoneException", "BadRequestException"):
            raise Gone from error
        if error.status < 500:
            raise Congested(f"API Gateway answered {error.code}.") from error
        raise EffectUnknown(f"API Gateway answered {error.code}.") from error


def _client() -> ConnectionsClient:
    return connections(settings.required("WEBSOCKET_ENDPOINT"), POST_SECONDS)
