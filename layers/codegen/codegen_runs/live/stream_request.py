"""The parameters of a request for a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError

from codegen_runs import forms
from codegen_runs.problems import Unprocessable

SHORTEST_INTERVAL = 0.5
LONGEST_INTERVAL = 10
"""Bounds of the seconds between two reads of events."""

ViewName = Literal["log", "chat"]
"""How a stream shows the events of a run."""


class StreamRequest(BaseModel):
    """A request for a stream of the events of a run, or of a multi-run."""

    org_id: int
    agent_run_id: int | None = Field(None, ge=0, le=forms.LARGEST_ID)
    multi_run_id: str | None = Field(None, pattern=forms.MULTI_RUN)
    after: str | None = Field(None, description="The id of the last event seen. Default: from the start.")
    poll_interval: float = Field(
        1.0, ge=SHORTEST_INTERVAL, le=LONGEST_INTERVAL, description="Seconds between two reads of events."
    )
    view: ViewName = Field("log", description="The events as stored, or the frames of a chat.")

    @classmethod
    def read(cls, event: Mapping[str, Any], org_id: int | None) -> Self:
        """Read a request about an organization.

        `Last-Event-ID`, from an EventSource, overrides `after`. Raises `Unprocessable`.
        """
        query = event.get("queryStringParameters") or {}
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        parameters = {
            **(event.get("pathParameters") or {}),
            "org_id": org_id,
            **{name: query[name] for name in ("after", "poll_interval", "view") if name in query},
        }
        if "last-event-id" in headers:
            parameters["after"] = headers["last-event-id"]
        try:
            return cls.model_validate(parameters)
        except ValidationError as error:
            faults = [
                {"loc": [_part(fault["loc"][0]), *fault["loc"]], "msg": fault["msg"], "type": fault["type"]}
                for fault in error.errors()
            ]
            raise Unprocessable(errors=faults) from None


def _part(name: int | str) -> str:
    """Return the part of the request that has a parameter."""
    return "path" if name in ("org_id", "agent_run_id", "multi_run_id") else "query"
