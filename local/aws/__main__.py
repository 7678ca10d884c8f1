"""Serve the AWS stand-in for a stack: `python -m local.aws FILE_DESCRIPTOR`, which `process` starts.

The file descriptor is a listening socket's, and standard input has a `Deployment` as one line of JSON. Standard output
gets one line of JSON: the ARN of the secret, or an error. The process ends when standard input closes.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

from anyio.from_thread import start_blocking_portal

from local.aws.process import Deployment
from local.aws.server import serve
from local.functions.pool import Functions
from local.template import TemplateError, load


def main(file_descriptor: int) -> None:
    """Deploy the template, report the secret's ARN, and serve until standard input closes."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    deployment = Deployment(**json.loads(sys.stdin.readline()))
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket(fileno=file_descriptor))
        aws = stack.enter_context(serve(listening, retry_scale=deployment.retry_scale))
        secret = aws.create_secret("codegen-token", deployment.token)
        try:
            template = load(Path(deployment.template), {**deployment.parameters, "CodegenTokenSecret": secret})
            aws.create(template)
        except TemplateError as error:
            print(json.dumps({"error": str(error)}))
            return

        async def start() -> Functions:
            log_dir = Path(deployment.log_dir) if deployment.log_dir else None
            return Functions(template.functions.values(), log_dir=log_dir, python=deployment.python)

        portal = stack.enter_context(start_blocking_portal())
        aws.functions = portal.call(start)
        aws.connections = deployment.connections
        stack.callback(portal.call, aws.functions.close)
        print(json.dumps({"secret": secret}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
