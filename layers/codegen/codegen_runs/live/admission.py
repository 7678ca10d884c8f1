"""Admitting a viewer with a ticket to a stream, also when the viewer reconnects."""

from __future__ import annotations

from codegen_runs.callers import Caller
from codegen_runs.http.proxy import Event
from codegen_runs.http.routing import organization_of
from codegen_runs.live.tickets import Subject, TicketRefused, Tickets
from codegen_runs.problems import Unprocessable

_STREAMS = ("/agent/run/{agent_run_id}/logs/stream", "/multi-runs/{multi_run_id}/logs/stream")


def has_ticket(event: Event) -> bool:
    """Return whether a request opens a stream and has a ticket. Other requests do not accept tickets.

    HEAD does not open a stream. It would use up the ticket, which is for one connection.
    """
    return (
        event["httpMethod"] == "GET"
        and event["resource"].endswith(_STREAMS)
        and bool((event.get("queryStringParameters") or {}).get("ticket"))
    )


def admit(event: Event, tickets: Tickets) -> tuple[Caller, str]:
    """Admit a viewer by the request's ticket, or by the stream key in `Last-Event-ID` when the viewer reconnects.

    Returns:
        The caller, and the key with which the stream can be resumed.

    Raises:
        TicketRefused: The ticket is unknown, was used or has expired, or the stream cannot be resumed.
        TicketForAnother: The ticket was issued for another run or multi-run.
        StorageUnavailable: The tickets cannot be read.
    """
    parameters, headers = event["pathParameters"], event.get("headers") or {}
    try:
        org_id = organization_of(event)
        multi_run_id = parameters.get("multi_run_id")
        agent_run_id = None if multi_run_id else int(parameters["agent_run_id"])
    except (Unprocessable, ValueError):
        raise TicketRefused("The path does not name a run.") from None
    if org_id is None:
        raise TicketRefused("The path does not name an organization.")
    subject = Subject(org_id, agent_run_id=agent_run_id, multi_run_id=multi_run_id)
    last_id = next((value for name, value in headers.items() if name.lower() == "last-event-id"), "")
    if stream_key := last_id.partition("~")[2]:
        return tickets.resume(stream_key, subject).caller, stream_key
    admission = tickets.redeem(event["queryStringParameters"]["ticket"], subject)
    return admission.caller, tickets.open_stream(admission)
