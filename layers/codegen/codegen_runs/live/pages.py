"""Answers of an ASGI app as one page, for Lambda's own runtime."""

from typing import Any

from mangum.handlers.api_gateway import APIGateway
from mangum.types import Response

from codegen_runs.http.answers import NO_TYPE


class Page(APIGateway):
    """Mangum's handler for API Gateway; it also returns answers without a type as they are."""

    def __call__(self, response: Response) -> dict[str, Any]:
        """Return the answer in the form of API Gateway."""
        answer = super().__call__(response)
        if "content-type" not in answer["headers"]:
            answer["multiValueHeaders"] |= NO_TYPE
        return answer
