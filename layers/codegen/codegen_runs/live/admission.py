"""Letting in who brings a ticket to a stream, or comes back to the stream that it opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codegen_runs.callers import Caller
from codegen_runs.live.tickets import Subject, TicketRefused, Tickets

_STREAM = "/agent/run/{agent_run_id}/logs/stream"


def brings_ticket(event: Mapping[str, Any]) -> bool:
    """Tell whether a request is for a stream and carries a ticket; anywhere else, a ticket is nothing."""
    return event["resource"].endswith(_STREAM) and bool((event.get("queryStringParameters") or {}).get("ticket"))


def admit(event: Mapping[str, Any], tickets: Tickets) -> tuple[Caller, str]:
    """Let in who brings a ticket to a stream, or comes back to the stream that it opened.

    Returns:
        Who it is, and the key by which the stream can be resumed.

    Raises:
        TicketRefused: The ticket was used, has expired, or never was one.
        TicketForAnother: It is good for another run.
        StorageUnavailable: Nobody can tell.
    """
    parameters, headers = event["pathParameters"], event.get("headers") or {}
    try:
        subject = Subject(int(parameters["org_id"]), agent_run_id=int(parameters["agent_run_id"]))
    except ValueError:
        raise TicketRefused("The path does not name a run.") from None
    last_id = next((value for name, value in headers.items() if name.lower() == "last-event-id"), "")
    if stream_key := last_id.partition("~")[2]:
        return tickets.resume(stream_key, subject).caller, stream_key
    admission = tickets.redeem(event["queryStringParameters"]["ticket"], subject)
    return admission.caller, tickets.open_stream(admission)
