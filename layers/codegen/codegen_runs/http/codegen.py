"""The Codegen client as a parameter of handlers."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Depends, Request

from codegen_api import CodegenAPI
from codegen_runs import upstream


def _acting_as_caller(request: Request) -> CodegenAPI:
    codegen: CodegenAPI = request.context["backend"].codegen
    return codegen


Codegen = Annotated[CodegenAPI, Depends(_acting_as_caller)]
"""A client that acts as the caller, within the time that the function has left."""


def _acting_as_deployment(request: Request) -> CodegenAPI:
    return upstream.for_deployment(deadline=request.context["seconds_left"])


DeploymentCodegen = Annotated[CodegenAPI, Depends(_acting_as_deployment)]
"""A client that acts as the deployment, like the client of a caller with an API token of this deployment."""
