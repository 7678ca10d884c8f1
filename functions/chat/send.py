"""POST /v1/organizations/{org_id}/chat - send a message to an agent, and get its answer."""

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from mangum import Mangum

from codegen_runs.chat import sessions
from codegen_runs.chat.answering import ChatStream
from codegen_runs.chat.messages import ChatAnswer, ChatMessage
from codegen_runs.http.edge import endpoint
from codegen_runs.http.parameters import Backend, CurrentCaller, Organization

app = APIGatewayRestResolver(enable_validation=True)


@app.post(
    "/v1/organizations/<org_id>/chat",
    status_code=202,
    tags=["Chat"],
    summary="Chat with an agent",
    responses={
        200: {
            "description": "The answer. With `stream`, the events until the answer.",
            "content": {"application/json": {"model": ChatAnswer}, "text/event-stream": {"schema": {"type": "string"}}},
        },
        202: {
            "description": "The agent is still at work. `links` says where to wait for its answer.",
            "content": {"application/json": {"model": ChatAnswer}},
        },
    },
)
@app.post("/api/chat", status_code=202, include_in_schema=False)
def send_chat_message(
    org_id: Organization, request: ChatMessage, caller: CurrentCaller, backend: Backend
) -> Response[ChatAnswer]:
    """Send a message to an agent, in a new conversation or in the one that `session_id` names.

    The request waits up to 25 seconds for the agent's answer. After that, 202 says where to wait for it.

    With `stream`, you get server-sent events: `run_started`, what the agent does, `content_delta` with the answer, and
    `run_completed` or another end of the turn. If the stream ends earlier, continue at `links.stream` with the last id.

    Send one message at a time: 409 while the previous message has no answer.
    """
    turn = sessions.send(request, org_id=org_id, caller=caller, backend=backend)
    headers = {
        "Location": turn.links.run,
        "Link": f'<{turn.links.stream}>; rel="alternate"; type="text/event-stream"',
        "Cache-Control": "no-store",
    }
    return Response(status_code=202, content_type="application/json", headers=headers, body=turn)


stream = ChatStream(endpoint(app))
handler = Mangum(
    stream, lifespan="off", text_mime_types=["application/json", "application/problem+json", "text/event-stream"]
)
