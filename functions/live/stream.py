"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream - follow a run by server-sent events."""

from typing import Any

from mangum import Mangum

from codegen_runs.chat.view import ChatView
from codegen_runs.live.sse import EventStream


def _parameter(name: str, place: str, type_: str, description: str = "") -> dict[str, Any]:
    required = {"required": True} if place == "path" else {"description": description}
    return {"name": name, "in": place, "schema": {"type": type_}, **required}


OPENAPI = {
    "paths": {
        "/v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream": {
            "get": {
                "operationId": "stream_agent_run_logs",
                "tags": ["Live"],
                "summary": "Follow an agent run by server-sent events",
                "description": (
                    "First `run_snapshot`, then each event of the run exactly once, and at the end `stream_end`. Where "
                    "the answer ends earlier, come back with `Last-Event-ID`, as an EventSource does by itself; once "
                    "all is told, that is answered 204."
                ),
                "parameters": [
                    _parameter("org_id", "path", "integer"),
                    _parameter("agent_run_id", "path", "integer"),
                    _parameter("Last-Event-ID", "header", "string", "The id of the last event seen."),
                    _parameter("after", "query", "string", "The same, for clients that are no EventSource."),
                    _parameter("poll_interval", "query", "number", "Seconds between two looks for news, 0.5 to 10."),
                    _parameter("view", "query", "string", "`log`, or `chat` for the frames of a chat."),
                    _parameter(
                        "ticket", "query", "string", "A ticket of POST /v1/stream-tickets, in place of a token."
                    ),
                ],
                "responses": {
                    "200": {
                        "description": "Events.",
                        "headers": {
                            "Stream-Retention-Seconds": {
                                "description": "How long events are kept.",
                                "schema": {"type": "integer"},
                            }
                        },
                        "content": {"text/event-stream": {"schema": {"type": "string"}}},
                    },
                    "204": {"description": "All is told, and nothing more is expected."},
                },
            }
        }
    }
}


stream = EventStream({"chat": ChatView})
handler = Mangum(stream, lifespan="off", text_mime_types=["text/event-stream", "application/problem+json"])
