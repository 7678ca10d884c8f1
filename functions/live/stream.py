"""GET /v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream - follow a run by server-sent events.

GET /v1/organizations/{org_id}/multi-runs/{multi_run_id}/logs/stream - the same for a multi-run.
"""

from typing import Any, get_args

from mangum import Mangum

from codegen_runs import forms
from codegen_runs.chat.view import ChatView
from codegen_runs.live.pages import Page
from codegen_runs.live.sse import EventStream
from codegen_runs.live.stream_request import LONGEST_INTERVAL, SHORTEST_INTERVAL, ViewName


def _parameter(name: str, place: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    required = {"required": True} if place == "path" else {"description": description}
    return {"name": name, "in": place, "schema": schema, **required}


_ID = {"type": "integer", "minimum": 0, "maximum": forms.LARGEST_ID}
_PLACE = {"type": "string", "pattern": forms.AFTER}
_AFTER = [
    _parameter("Last-Event-ID", "header", _PLACE, "The id of the last event that you have seen."),
    _parameter("after", "query", _PLACE, "The same, for clients other than an EventSource."),
    _parameter(
        "poll_interval",
        "query",
        {"type": "number", "minimum": SHORTEST_INTERVAL, "maximum": LONGEST_INTERVAL, "default": 1},
        "Seconds between two checks for events.",
    ),
]
_VIEW = _parameter(
    "view",
    "query",
    {"type": "string", "enum": list(get_args(ViewName)), "default": "log"},
    "`chat` for the frames of a chat.",
)
_TICKET = _parameter(
    "ticket",
    "query",
    {"type": "string", "pattern": forms.TICKET},
    "A ticket from POST /v1/stream-tickets, instead of a token.",
)


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
                    _parameter("org_id", "path", _ID),
                    _parameter("agent_run_id", "path", _ID),
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
                    _parameter("org_id", "path", _ID),
                    _parameter("multi_run_id", "path", {"type": "string", "pattern": forms.MULTI_RUN}),
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
