"""The Codegen API as a handler's parameter."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Depends, Request

import codegen_runs.upstream.errors  # noqa: F401 - registers how errors of the Codegen API are answered
from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.http.edge import seconds_left


def _acting_as_caller(request: Request) -> CodegenAPI:
    return upstream.for_caller(request.context["caller"], deadline=seconds_left(request))


Codegen = Annotated[CodegenAPI, Depends(_acting_as_caller)]
"""A handler's parameter: a client that acts as the caller, within the time that the function has left."""


def _acting_as_deployment(request: Request) -> CodegenAPI:
    return upstream.for_deployment(deadline=seconds_left(request))


Deployment = Annotated[CodegenAPI, Depends(_acting_as_deployment)]
"""A handler's parameter: a client that acts as the deployment, as it does for a caller with an API token of ours."""
