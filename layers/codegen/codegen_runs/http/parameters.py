"""Parameters that handlers share: the caller, the organization, what to work with, and how paths and pages are read."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Depends, Request
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from codegen_runs import backend
from codegen_runs.callers import Caller
from codegen_runs.http import admission


def _caller(request: Request) -> Caller:
    caller: Caller = request.context["caller"]
    return caller


CurrentCaller = Annotated[Caller, Depends(_caller)]
"""Who sends the request."""


def _organization(request: Request) -> int:
    # The edge has read it from the path, and has checked that the caller is in it. Powertools' own `path_parameters`
    # cannot replace that: after validation they hold only what the handler's signature names.
    named: int | None = request.context["organization"]
    if named is not None:
        return named
    if "{org_id}" in request.route:
        raise RuntimeError("The edge found no organization in a path whose route has one.")
    return admission.organization(_caller(request))


Organization = Annotated[int, Depends(_organization)]
"""The organization that the path names; on a path without one the deployment's, if the caller is in it."""


def _backend(request: Request) -> backend.Backend:
    found: backend.Backend = request.context["backend"]
    return found


Backend = Annotated[backend.Backend, Depends(_backend)]
"""What domain functions work with; its Codegen client acts as the caller, within the seconds left."""


def _seconds_left(request: Request) -> float:
    seconds: float = request.context["seconds_left"]
    return seconds


SecondsLeft = Annotated[float, Depends(_seconds_left)]
"""The seconds that the operation may still take."""

RunId = Annotated[
    str,
    Path(
        pattern=r"^([0-9]{1,18}|[A-Za-z][A-Za-z0-9_-]{0,79})$",
        description="The Codegen API's id, or the `key` of a run that has none yet.",
    ),
]
"""How a path names a run."""

Skip = Annotated[int, Query(ge=0, description="How many entries to leave out.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many entries to return at most.")]
"""The upstream's two parameters for pages, with its limits."""
