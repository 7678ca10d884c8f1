"""Caps on how many streams, tickets and connections one user has, whatever tokens the user sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from codegen_runs import settings
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.limits.shares import Hold, ShareExhausted, Shares, Takeover
from codegen_runs.logs import logger
from codegen_runs.problems import StorageUnavailable, TooMany

LOOK_SECONDS = 25.0
"""Seconds within which a stream notices that another one has taken its place."""

_MARGIN = 5.0  # Seconds after its end for which a stream counts if its function dies.
_MINUTE = 60.0


class TooManyStreams(TooMany):
    """The user has too many streams and long polls open."""

    code = "too_many_streams"
    remedy = "Close a stream, or follow several runs over one WebSocket."


class TooManyTickets(TooMany):
    """The user was issued too many tickets within a minute."""

    code = "too_many_tickets"
    remedy = "Use the tickets that you have, or wait for as long as Retry-After says."


class TooManyConnections(TooMany):
    """The user has too many WebSocket connections open."""

    code = "too_many_connections"
    remedy = "Close a connection. One connection can follow many runs."


class TooManyMessages(TooMany):
    """The WebSocket connection has sent too many messages within a minute. It is closed."""

    code = "too_many_messages"
    remedy = "Connect again, and send fewer messages: one ping in ten minutes keeps a connection open."


def open_stream(caller: Caller, run: str, *, seconds: float, resumes: bool = False, backend: Backend) -> Hold:
    """Count a stream or a long poll of a user.

    A function does not notice that its viewer has left. So a viewer who reconnects takes the place of an earlier stream
    of the same run if the user may not have another one.

    Args:
        caller: The user.
        run: The key of the run.
        seconds: How long the stream lasts at most.
        resumes: Whether the viewer has seen events of the run before.
        backend: The backend.

    Raises:
        TooManyStreams: The user has too many streams.
        StorageUnavailable: The streams cannot be counted.
    """
    most, shares = settings.cap("STREAMS_PER_CALLER"), _shares(backend)
    prefix = f"{run}#"
    try:
        return shares.take(
            "streams",
            _owner(caller),
            most=most,
            seconds=seconds + _MARGIN,
            id_=f"{prefix}{shares.new_id()}",
            takeover=Takeover(prefix, LOOK_SECONDS) if resumes else None,
        )
    except ShareExhausted as exhausted:
        raise TooManyStreams(
            f"You have {most} streams open, and no more are allowed.", retry_after=exhausted.retry_after
        ) from None


@contextmanager
def streaming(caller: Caller, run: str, *, seconds: float, backend: Backend) -> Iterator[None]:
    """Count a long poll of a user while the block runs. Raises what `open_stream` raises."""
    stream = open_stream(caller, run, seconds=seconds, resumes=True, backend=backend)
    try:
        yield
    finally:
        close(stream, backend=backend)


def close(hold: Hold, *, backend: Backend) -> None:
    """Count a stream or a connection no longer. If this fails, it counts until its time is over."""
    try:
        _shares(backend).release(hold)
    except StorageUnavailable:
        logger.warning("Could not release a share.", kind=hold.kind, exc_info=True)


def is_open(hold: Hold, *, backend: Backend) -> bool:
    """Return whether no other stream has taken the place of this one. Raises `StorageUnavailable`."""
    return _shares(backend).lasts(hold)


def count_ticket(caller: Caller, *, backend: Backend) -> None:
    """Count a ticket of a user. Raises `TooManyTickets`, `StorageUnavailable`."""
    most = settings.cap("TICKETS_PER_MINUTE")
    try:
        _shares(backend).take("tickets", _owner(caller), most=most, seconds=_MINUTE)
    except ShareExhausted as exhausted:
        raise TooManyTickets(
            f"You were issued {most} tickets in the last minute, and no more are allowed.",
            retry_after=exhausted.retry_after,
        ) from None


def open_connection(caller: Caller, connection_id: str, *, seconds: float, backend: Backend) -> None:
    """Count a connection of a user. Raises `TooManyConnections`, `StorageUnavailable`."""
    most = settings.cap("CONNECTIONS_PER_CALLER")
    try:
        _shares(backend).take("connections", _owner(caller), most=most, seconds=seconds, id_=connection_id)
    except ShareExhausted:
        raise TooManyConnections(f"You have {most} connections open, and no more are allowed.") from None


def close_connection(user_id: int, connection_id: str, *, backend: Backend) -> None:
    """Count a connection of a user no longer."""
    close(Hold("connections", f"user:{user_id}", connection_id), backend=backend)


def count_message(connection_id: str, *, backend: Backend) -> None:
    """Count a message of a connection. Raises `TooManyMessages`, `StorageUnavailable`."""
    most = settings.cap("MESSAGES_PER_MINUTE")
    shares = Shares(backend.connections.shares, backend.clock)
    try:
        shares.take("messages", connection_id, most=most, seconds=_MINUTE)
    except ShareExhausted as exhausted:
        raise TooManyMessages(
            f"This connection has sent {most} messages in the last minute, and no more are allowed.",
            retry_after=exhausted.retry_after,
        ) from None


def _shares(backend: Backend) -> Shares:
    return Shares(backend.shares, backend.clock)


def _owner(caller: Caller) -> str:
    return f"user:{caller.user_id}"
