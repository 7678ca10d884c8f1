"""Issuing tickets for streams and WebSockets."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, IgnoredFields, unfit
from codegen_runs.callers import Caller
from codegen_runs.events import timestamp
from codegen_runs.links import link_to_run
from codegen_runs.live.reading import open_reader
from codegen_runs.live.tickets import TICKET_SECONDS, Subject, Tickets
from codegen_runs.live.viewers import count_ticket
from codegen_runs.multi_runs import service as multi_runs
from codegen_runs.multi_runs.snapshots import link_to


class IssueTicket(Body):
    """The run or the multi-run to issue a ticket for."""

    agent_run_id: int | None = Field(None, ge=1, lt=2**63)
    multi_run_id: str | None = Field(None, min_length=1, max_length=64)
    organization_id: int | None = Field(None, ge=0, lt=2**63, description="Defaults to the deployment's organization.")

    @model_validator(mode="after")
    def _one_subject(self) -> Self:
        if (self.agent_run_id is None) == (self.multi_run_id is None):
            raise unfit("Give either agent_run_id or multi_run_id.")
        return self


class StreamTicket(BaseModel):
    """A ticket, valid for one connection."""

    ticket: str = Field(description="Send it as the query parameter `ticket`.")
    expires_at: str
    expires_in: int = Field(TICKET_SECONDS, description="Seconds until the ticket expires.")
    organization_id: int
    agent_run_id: int | None = None
    multi_run_id: str | None = None
    stream_path: str = Field(description="The path to open an EventSource at.")
    warnings: IgnoredFields = Field([])


def issue(request: IssueTicket, *, org_id: int, caller: Caller, backend: Backend) -> StreamTicket:
    """Issue a ticket to a caller who may watch the run or the multi-run.

    The run is followed from now on, so that a viewer with only the ticket needs no token to read it from the upstream.

    Raises `codegen_api.NotFoundError`, `MultiRunNotFound`, `TooManyTickets`, `StorageUnavailable`.
    """
    count_ticket(caller, backend=backend)
    if request.agent_run_id is not None:
        open_reader(org_id=org_id, agent_run_id=request.agent_run_id, after=None, caller=caller, backend=backend)
        stream_path = link_to_run(org_id, request.agent_run_id) + "/logs/stream"
    else:
        multi_run = multi_runs.find(org_id, request.multi_run_id or "", backend=backend)
        stream_path = link_to(multi_run) + "/logs/stream"
    subject = Subject(org_id, agent_run_id=request.agent_run_id, multi_run_id=request.multi_run_id)
    ticket, expires_at = Tickets(backend).issue(caller, subject)
    return StreamTicket(
        ticket=ticket,
        expires_at=timestamp(expires_at),
        organization_id=org_id,
        agent_run_id=request.agent_run_id,
        multi_run_id=request.multi_run_id,
        stream_path=stream_path,
        warnings=request.ignored(),
    )
