"""GET /v1/users/me/api-tokens - list the caller's API tokens, newest first."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.access import tokens
from codegen_runs.access.tokens import ApiTokenCard
from codegen_runs.cursors import CursorPage
from codegen_runs.http.admission import NO_ORGANIZATION
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=100, description="How many to return at most.")]


@app.get("/v1/users/me/api-tokens", tags=["Access"], summary="List API tokens")
def list_api_tokens(
    caller: CurrentCaller, backend: Backend, limit: Limit = 20, cursor: Cursor = None
) -> CursorPage[ApiTokenCard]:
    """List your API tokens that are not revoked, newest first, without their secrets. An API token sees only itself."""
    return tokens.newest(caller=caller, limit=limit, cursor=cursor, backend=backend)


handler = endpoint(app, organization=NO_ORGANIZATION)
