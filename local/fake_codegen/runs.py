"""Runs: what they show at any moment, computed from their plans when a call reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any

from .clock import timestamp
from .schemas import (
    AgentRunLogResponse,
    AgentRunResponse,
    AgentRunWithLogsResponse,
    ApiAgentRunSourceType,
    GithubPullRequestResponse,
    JsonObject,
    WebhookOverride,
)

ACTIVE = "ACTIVE"
CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class Entry:
    """A log entry that is present from `at` until `until`, both in seconds of its turn.

    An output that arrives late, a rewritten history and a shrunk history are all made of entries that disappear, with
    or without another entry in their place.
    """

    at: float
    log: Mapping[str, Any]
    until: float = inf
    dated: float | None = None
    """The time that the entry shows, if it is not `at`."""

    @property
    def written_at(self) -> float:
        """The time that the entry shows, in seconds of its turn."""
        return self.at if self.dated is None else self.dated


@dataclass(frozen=True)
class Plan:
    """What one turn of a run will do. Times are in seconds of the turn."""

    entries: tuple[Entry, ...] = ()
    statuses: tuple[tuple[float, str], ...] = ()
    """The statuses between ACTIVE and the end, each with the time at which it starts."""
    ends_at: float = inf
    ending: str = "COMPLETE"
    result: str | None = None
    summary: str | None = None
    pull_request_at: float = inf

    def status(self, elapsed: float) -> str:
        """Return the status at a moment."""
        if elapsed >= self.ends_at:
            return self.ending
        return next((word for at, word in reversed(self.statuses) if at <= elapsed), ACTIVE)


@dataclass
class PullRequest:
    """A pull request, shared by every run that works on it."""

    id: int
    number: int
    title: str
    url: str
    head_branch_name: str
    repo_id: int | None
    created_at: datetime
    state: str = "open"
    checks_banned: bool = False

    def response(self) -> GithubPullRequestResponse:
        """Return the pull request as runs show it."""
        return GithubPullRequestResponse(
            id=self.id,
            title=self.title,
            url=self.url,
            created_at=timestamp(self.created_at),
            head_branch_name=self.head_branch_name,
        )


@dataclass
class Turn:
    """One prompt and the plan that answers it."""

    started_at: datetime
    prompt: str
    plan: Plan
    stopped_at: datetime | None = None

    def elapsed(self, now: datetime) -> float:
        """Return the seconds since the turn started, or until it was stopped."""
        return ((self.stopped_at or now) - self.started_at).total_seconds()

    def status(self, now: datetime) -> str:
        """Return the plan's status, or CANCELLED if the turn was stopped before its end."""
        if self.stopped_at is not None:
            return CANCELLED
        return self.plan.status(self.elapsed(now))

    def ended(self, now: datetime) -> bool:
        """Tell whether the turn is over."""
        return self.stopped_at is not None or self.elapsed(now) >= self.plan.ends_at


@dataclass
class Run:
    """An agent run."""

    id: int
    organization_id: int
    user_id: int
    source_type: ApiAgentRunSourceType
    metadata: JsonObject | None
    repo_id: int | None
    model: str
    agent_type: str
    turns: list[Turn] = field(default_factory=list)
    pull_request: PullRequest | None = None
    checks_banned: bool = False
    webhooks: list[WebhookOverride] = field(default_factory=list)
    """What is called when it ends, in the place of the organization's webhook."""

    @property
    def created_at(self) -> datetime:
        """When the first turn started."""
        return self.turns[0].started_at

    @property
    def web_url(self) -> str:
        """The run's web page."""
        return f"https://codegen.com/agent/trace/{self.id}"

    def status(self, now: datetime) -> str:
        """Return the status of the last turn."""
        return self.turns[-1].status(now)

    def ended(self, now: datetime) -> bool:
        """Tell whether the last turn is over."""
        return self.turns[-1].ended(now)

    def stop(self, now: datetime) -> None:
        """Stop the last turn if it is not over. It logs nothing more."""
        if not self.ended(now):
            self.turns[-1].stopped_at = now

    def result(self, now: datetime) -> str | None:
        """Return the latest result. During a follow-up that is the previous turn's."""
        return self._latest("result", now)

    def visible_pull_request(self, now: datetime) -> PullRequest | None:
        """Return the pull request once it is open."""
        opened = any(turn.elapsed(now) >= turn.plan.pull_request_at for turn in self.turns)
        return self.pull_request if opened else None

    def logs(self, now: datetime) -> list[AgentRunLogResponse]:
        """Return all log entries, oldest first."""
        return [
            AgentRunLogResponse(
                agent_run_id=self.id,
                created_at=timestamp(turn.started_at + timedelta(seconds=entry.written_at)),
                **entry.log,
            )
            for turn in self.turns
            for entry in turn.plan.entries
            if entry.at <= turn.elapsed(now) < entry.until
        ]

    def response(self, now: datetime) -> AgentRunResponse:
        """Return the run as `get` and `list` show it."""
        pull_request = self.visible_pull_request(now)
        return AgentRunResponse(
            id=self.id,
            organization_id=self.organization_id,
            status=self.status(now),
            created_at=timestamp(self.created_at),
            web_url=self.web_url,
            result=self.result(now),
            summary=self._latest("summary", now),
            source_type=self.source_type,
            github_pull_requests=[pull_request.response()] if pull_request else [],
            metadata=self.metadata,
        )

    def response_with_logs(self, now: datetime, *, skip: int, limit: int, reverse: bool) -> AgentRunWithLogsResponse:
        """Return the run and a page of its logs. With `reverse`, `skip` counts from the newest entry."""
        logs = self.logs(now)
        if reverse:
            logs.reverse()
        return AgentRunWithLogsResponse(
            **self.response(now).model_dump(include=_WITH_LOGS),
            logs=logs[skip : skip + limit],
            total_logs=len(logs),
            **page_numbers(len(logs), skip, limit),
        )

    def _latest(self, name: str, now: datetime) -> str | None:
        done = (turn for turn in reversed(self.turns) if turn.elapsed(now) >= turn.plan.ends_at)
        return next((value for turn in done if (value := getattr(turn.plan, name)) is not None), None)


_WITH_LOGS = {"id", "organization_id", "status", "created_at", "web_url", "result", "metadata"}


def page_numbers(total: int, skip: int, limit: int) -> dict[str, int]:
    """Return `page`, `size` and `pages`, counted as one live observation suggests."""
    return {"page": skip // limit + 1, "size": limit, "pages": -(-total // limit)}
