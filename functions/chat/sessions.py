"""GET /v1/organizations/{org_id}/chat/sessions - list the caller's conversations, latest message first."""

from typing import Annotated

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.openapi.params import Query

from codegen_runs.chat import listing
from codegen_runs.chat.listing import ChatSessionSummary
from codegen_runs.cursors import CursorPage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Cursor, Organization

app = APIGatewayRestResolver(enable_validation=True)

Limit = Annotated[int, Query(ge=1, le=100, description="How many conversations to return at most.")]


@app.get("/v1/organizations/<org_id>/chat/sessions", tags=["Chat"], summary="List chat sessions")
def list_chat_sessions(
    org_id: Organization, caller: CurrentCaller, backend: Backend, limit: Limit = 20, cursor: Cursor = None
) -> CursorPage[ChatSessionSummary]:
    """List the conversations that the caller began, latest message first.

    A conversation that gets a message while you read the pages moves to the beginning of the list.
    """
    return listing.newest(org_id, limit=limit, cursor=cursor, caller=caller, backend=backend)


handler = endpoint(app)
