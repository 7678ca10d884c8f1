"""Serve the AWS stand-in for a stack, as `python -m local.aws FILE_DESCRIPTOR` does.

The file descriptor is a listening socket's, and standard input has a `Deployment` as one line of JSON. Standard output
gets one line of JSON: the ARN of the secret, or an error. A second line is an error of the journal, after which nothing
more is kept. The process ends when standard input closes.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal

from local.aws.faults import Faults
from local.aws.persistence import Persistence
from local.aws.process import Deployment
from local.aws.server import serve
from local.functions.pool import Functions
from local.journal import DataError
from local.template import TemplateError, load

if TYPE_CHECKING:
    from local.template import Template


def main(file_descriptor: int) -> None:
    """Deploy the template, report the secret's ARN, and serve until standard input closes."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    deployment = Deployment(**json.loads(sys.stdin.readline()))
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(fileno=file_descriptor))
        faults = Faults(**deployment.faults) if deployment.faults else None
        aws = stack.enter_context(serve(listening, retry_scale=deployment.retry_scale, faults=faults))
        secret = aws.create_secret("codegen-token", deployment.token)
        try:
            parameters = {**deployment.parameters, "CodegenTokenSecret": secret}
            template = load(Path(deployment.template), parameters, deployment.variables)
            aws.create(template)
            persistence = _persistence(deployment, template)
        except (DataError, TemplateError) as error:
            _report(error)
            return

        async def start() -> Functions:
            log_dir = Path(deployment.log_dir) if deployment.log_dir else None
            return Functions(
                template.functions.values(),
                log_dir=log_dir,
                python=deployment.python,
                max_workers=deployment.max_workers,
            )

        portal = stack.enter_context(start_blocking_portal())
        aws.functions = portal.call(start)
        aws.connections = deployment.connections
        stack.callback(portal.call, aws.functions.close)
        if persistence:
            # Entered last, so that nothing is kept which happens because the process ends.
            stack.enter_context(persistence.keeping(aws))
            persistence.resume(aws)
        print(json.dumps({"secret": secret}), flush=True)
        sys.stdin.read()


def _persistence(deployment: Deployment, template: Template) -> Persistence | None:
    if deployment.journal is None:
        return None
    return Persistence(Path(deployment.journal), template, codegen=deployment.codegen, on_failure=_report)


def _report(error: Exception) -> None:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
