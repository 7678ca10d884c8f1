"""Parameters that handlers share: the caller, the organization, the backend, the id of a run, and pages."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Depends, Request
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from codegen_runs import backend
from codegen_runs.callers import Caller


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


OrganizationInQuery = Annotated[int, Query(alias="org_id", description="The organization.")]
"""The query parameter that names the organization, for the document. The edge reads it: see `Organization`."""


def _backend(request: Request) -> backend.Backend:
    current: backend.Backend = request.context["backend"]
    return current


Backend = Annotated[backend.Backend, Depends(_backend)]
"""The backend for domain functions. Its Codegen client acts as the caller, within the seconds left."""


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
        pattern=r"^([0-9]{1,18}|[A-Za-z][A-Za-z0-9_-]{0,79})$",
        description="The Codegen API's id, or the `key` of a run that has none yet.",
    ),
]
"""The id of a run in a path."""

Skip = Annotated[int, Query(ge=0, description="How many entries to leave out.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many entries to return at most.")]
"""The two parameters of the upstream's pages, with its limits."""
