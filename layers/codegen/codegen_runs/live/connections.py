"""Posting to open WebSockets through API Gateway's management API, and what can come of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

from codegen_runs import settings

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
    from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

    try:
        yield
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code == "GoneException":
            raise Gone from error
        # A malformed id, too, is one that nobody is behind.
        if code == "BadRequestException":
            raise Gone from error
        if status < 500:
            raise Congested(f"API Gateway answered {code}.") from error
        raise EffectUnknown(f"API Gateway answered {code}.") from error
    except (ConnectTimeoutError, EndpointConnectionError) as error:
        raise Congested("API Gateway could not be reached.") from error
    except BotoCoreError as error:
        raise EffectUnknown("API Gateway did not answer.") from error


@cache
def _client() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "apigatewaymanagementapi",
        # An address for every AWS service has this one, too; boto3 would prefer the one that is named here.
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or settings.required("WEBSOCKET_ENDPOINT"),
        config=Config(
            connect_timeout=1,
            read_timeout=POST_SECONDS - 1,
            max_pool_connections=THREADS,
            # A frame whose answer was lost may have been sent, and must not be sent again.
            retries={"total_max_attempts": 1},
        ),
    )
