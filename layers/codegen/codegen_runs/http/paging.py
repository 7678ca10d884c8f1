"""The upstream's two query parameters for pages, with its limits."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Query

Skip = Annotated[int, Query(ge=0, description="How many entries to leave out.")]
Limit = Annotated[int, Query(ge=1, le=100, description="How many entries to return at most.")]
