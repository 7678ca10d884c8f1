"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream - follow a run by server-sent events.

GET /v1/organizations/{org_id}/multi-runs/{multi_run_id}/logs/stream - the same for a multi-run.
"""

from typing import Any

from mangum import Mangum

from codegen_runs.chat.view import ChatView
from codegen_runs.live.pages import Page
from codegen_runs.live.sse import EventStream


def _parameter(name: str, place: str, type_: str, description: str = "") -> dict[str, Any]:
    required = {"required": True} if place == "path" else {"description": description}
    return {"name": name, "in": place, "schema": {"type": type_}, **required}


_AFTER = [
    _parameter("Last-Event-ID", "header", "string", "The id of the last event that you have seen."),
    _parameter("after", "query", "string", "The same, for clients other than an EventSource."),
    _parameter("poll_interval", "query", "number", "Seconds between two checks for events, 0.5 to 10."),
]
_VIEW = _parameter("view", "query", "string", "`log` (the default), or `chat` for the frames of a chat.")
_TICKET = _parameter("ticket", "query", "string", "A ticket from POST /v1/stream-tickets, instead of a token.")


def _operation(subject: str, **fields: Any) -> dict[str, Any]:
    return {
        **fields,
        "description": (
            f"The stream begins with a snapshot, then has each event of the {subject} exactly once, and ends with "
            "`stream_end`. If it ends earlier, send the request again with `Last-Event-ID`, as an EventSource "
            f"does by itself. The answer is 204 if you have seen all events and the {subject} has ended."
        ),
        "responses": {
            "200": {
                "description": "The events.",
                "headers": {
                    "Stream-Retention-Seconds": {
                        "description": "How many seconds events are stored.",
                        "schema": {"type": "integer"},
                    }
                },
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            "204": {"description": f"You have seen all events, and the {subject} has ended."},
        },
    }


OPENAPI = {
    "paths": {
        "/v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream": {
            "get": _operation(
                "run",
                operationId="stream_agent_run_logs",
                tags=["Live"],
                summary="Follow an agent run by server-sent events",
                parameters=[
                    _parameter("org_id", "path", "integer"),
                    _parameter("agent_run_id", "path", "integer"),
                    *_AFTER,
                    _VIEW,
                    _TICKET,
                ],
            )
        },
        "/v1/organizations/{org_id}/multi-runs/{multi_run_id}/logs/stream": {
            "get": _operation(
                "multi-run",
                operationId="stream_multi_run_events",
                tags=["Multi-runs"],
                summary="Follow a multi-run by server-sent events",
                parameters=[
                    _parameter("org_id", "path", "integer"),
                    _parameter("multi_run_id", "path", "string"),
                    *_AFTER,
                    _TICKET,
                ],
            )
        },
    }
}


TEXT = ["text/event-stream", "application/problem+json"]

stream = EventStream({"chat": ChatView})
handler = Mangum(stream, lifespan="off", text_mime_types=TEXT, custom_handlers=[Page])
