"""The Codegen client as a parameter of handlers."""

from collections.abc import Mapping
from typing import Annotated

from aws_lambda_powertools.event_handler import Depends, Request

from codegen_api import CodegenAPI
from codegen_runs import upstream


def _acting_as_caller(request: Request) -> CodegenAPI:
    codegen: CodegenAPI = request.context["backend"].codegen
    return codegen


Codegen = Annotated[CodegenAPI, Depends(_acting_as_caller)]
"""A client that acts as the caller, within the time that the function has left."""


def _passing_on(request: Request) -> CodegenAPI:
    # Imported here, because operations without a body need no models of bodies.
    from codegen_runs.bodies import finite

    event = request.resolved_event
    body = request.json_body if event.body else None
    return _acting_as_caller(request).with_more(
        query=event.get("multiValueQueryStringParameters") or {},
        body=finite(body) if isinstance(body, Mapping) else {},
    )


TransparentCodegen = Annotated[CodegenAPI, Depends(_passing_on)]
"""A client that acts as the caller, and passes on the query parameters and the fields that no handler knows.

It is for an operation that sends each request as one call: what the operation sends itself takes precedence.
"""


def _acting_as_deployment(request: Request) -> CodegenAPI:
    return upstream.for_deployment(deadline=request.context["seconds_left"])


DeploymentCodegen = Annotated[CodegenAPI, Depends(_acting_as_deployment)]
"""A client that acts as the deployment, like the client of a caller with an API token of this deployment."""
