"""How a path names a run."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Path

RunId = Annotated[
    str,
    Path(
        pattern=r"^([0-9]{1,18}|[A-Za-z][A-Za-z0-9_-]{0,79})$",
        description="The Codegen API's id, or the `key` of a run that has none yet.",
    ),
]
"""A handler's parameter."""
