"""Parameters that handlers share: the caller, the organization, the backend, ids, pages and places in logs."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Depends, Request
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import Field

from codegen_runs import backend, forms, links, settings
from codegen_runs.callers import Caller
from codegen_runs.http import proxy, routing


def _caller(request: Request) -> Caller:
    caller: Caller = request.context["caller"]
    return caller


CurrentCaller = Annotated[Caller, Depends(_caller)]
"""The caller of the request."""


def _organization(request: Request) -> int:
    # The edge has read the organization and has checked the caller's role in it. The `path_parameters` of Powertools
    # cannot replace this: after validation they contain only the parameters in the handler's signature.
    admitted: int | None = request.context["organization"]
    if admitted is None:
        raise RuntimeError("The edge has admitted the caller to no organization.")
    return admitted


Organization = Annotated[int, Depends(_organization)]
"""The organization that the request is about, in which the edge has checked the caller's role."""


OrganizationInQuery = Annotated[int, Query(alias="org_id", ge=0, le=forms.LARGEST_ID, description="The organization.")]
"""The query parameter that names the organization, for the document. The edge reads it: see `Organization`."""


def _backend(request: Request) -> backend.Backend:
    current: backend.Backend = request.context["backend"]
    return current


Backend = Annotated[backend.Backend, Depends(_backend)]
"""The backend for domain functions. Its Codegen client acts as the caller, within the seconds left."""


def _address(request: Request) -> str:
    scheme = "http" if settings.private_webhooks() else "https"
    return f"{scheme}://{routing.domain_of(request.resolved_event.raw_event)}{links.link('')}"


Address = Annotated[str, Depends(_address)]
"""The address of the API at which the request was sent, without a slash at its end."""


def _call(request: Request) -> proxy.Call:
    return proxy.Call.of(request.resolved_event.raw_event)


SentCall = Annotated[proxy.Call, Depends(_call)]
"""The headers and the body of the request as they were sent."""


def _seconds_left(request: Request) -> float:
    seconds: float = request.context["seconds_left"]
    return seconds


SecondsLeft = Annotated[float, Depends(_seconds_left)]
"""The seconds that the operation may still take."""


def _views(request: Request) -> bool:
    views: bool = request.context["views"]
    return views


Views = Annotated[bool, Depends(_views)]
"""Whether the caller gets the content. HEAD has no effect, and its answer has no content."""

RunId = Annotated[
    str,
    Path(
        pattern=forms.RUN,
        description="The Codegen API's id, or the `key` of a run that has none yet.",
    ),
]
"""The id of a run in a path."""

Id = Annotated[int, Path(ge=0, le=forms.LARGEST_ID)]
"""An id of the Codegen API in a path."""

IdInQuery = Annotated[int, Query(ge=0, le=forms.LARGEST_ID)]
"""An id of the Codegen API in a query."""

MultiRunId = Annotated[str, Path(pattern=forms.MULTI_RUN)]
DoorbellName = Annotated[str, Path(json_schema_extra={"pattern": forms.DOORBELL})]
EndpointId = Annotated[str, Path(pattern=forms.WEBHOOK_ENDPOINT)]
ApiTokenId = Annotated[str, Path(json_schema_extra={"pattern": forms.API_TOKEN})]
AgentId = Annotated[str, Path(json_schema_extra={"pattern": forms.AGENT})]
CheckpointId = Annotated[str, Path(json_schema_extra={"pattern": forms.CHECKPOINT})]
"""The ids of what this deployment stores. No agent and no checkpoint has an id of another form: it is not found."""

Skip = Annotated[int, Query(ge=0, le=forms.LARGEST_OFFSET, description="How many entries to leave out.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many entries to return at most.")]
"""The two parameters of the upstream's pages, with its limits."""

# The next three are checked where they are read, so that every fault of theirs has the same answer.

Cursor = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": forms.CURSOR})] | None,
    Query(description="The `next_cursor` of the page before. Default: from the start."),
]
"""The cursor of a list."""

After = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": forms.AFTER})] | None,
    Query(description="The id of the last event that you have seen. Default: from the start."),
]
"""The place in an event log after which to read."""

Before = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": forms.BEFORE})] | None,
    Query(description="The id of an event, for the events before it; or `latest`, for the newest events."),
]
"""The place in an event log before which to read."""
