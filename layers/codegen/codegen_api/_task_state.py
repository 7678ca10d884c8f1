"""Tasks as values: their status, the options to start one with, and what is known of one."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NotRequired, TypedDict

from ._ids import Id
from ._models import AgentRun, AgentRunLogs, Harness, PullRequest, Webhooks
from ._statuses import RunStatus
from ._timestamps import Timestamp


class RunOptions(TypedDict):
    """The options to start a task with, besides its prompt. `api.runs.create` describes each.

    `agent_id`, the id of an agent of a deployment, and `idempotency_key` need a deployment.
    """

    org_id: NotRequired[Id | None]
    repo_id: NotRequired[Id | None]
    images: NotRequired[list[str] | None]
    metadata: NotRequired[dict[str, Any] | None]
    model: NotRequired[str | None]
    agent_type: NotRequired[Harness | None]
    webhooks: NotRequired[Webhooks | None]
    agent_id: NotRequired[str | None]
    idempotency_key: NotRequired[str | None]


@dataclass(slots=True)
class TaskState:
    """What is known of a task. Each poll updates it in place."""

    id: int
    org_id: int
    status: RunStatus = RunStatus.QUEUED
    raw_status: str | None = None
    prompt: str | None = None
    result: str | None = None
    summary: str | None = None
    error: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    web_url: str | None = None
    metadata: dict[str, Any] | None = None
    pull_requests: list[PullRequest] = field(default_factory=list)
    turn: int | None = None
    """1, and 1 more for each follow-up to a task that had ended; None if unknown."""

    def ended(self) -> bool:
        """Return whether the task has ended."""
        return self.status.final

    def set_status(self, raw_status: str | None) -> None:
        """Set the status. A task that is not failed has no error."""
        self.raw_status, self.status = raw_status, RunStatus.of(raw_status)
        if not self.status.failed:
            self.error = None

    def update_from_run(self, run: AgentRun | AgentRunLogs) -> None:
        """Copy what the Codegen API returns for a run."""
        self.set_status(run.status)
        self.result, self.created_at, self.web_url, self.metadata = (
            run.result,
            run.created_at,
            run.web_url,
            run.metadata,
        )
        if isinstance(run, AgentRun):
            self.summary, self.pull_requests = run.summary, run.github_pull_requests or []

    def update_from_card(self, card: dict[str, Any]) -> None:
        """Copy what is in a run card of a deployment, which has more than the Codegen API returns.

        A card shortens long prompts, so a prompt that is already known stays.
        """
        self.set_status(card.get("status"))
        self.prompt = self.prompt or card.get("prompt")
        self.created_at = Timestamp.of(card.get("created_at"))
        self.updated_at = Timestamp.of(card.get("updated_at"))
        self.result, self.summary = card.get("result"), card.get("summary")
        self.web_url, self.metadata = card.get("web_url"), card.get("metadata")
        self.turn = card.get("turn")
        if self.status.failed:
            self.error = card.get("status_reason") or self.error
        self.pull_requests = [
            PullRequest.model_validate({**link, "head_branch_name": link.get("branch_name")})
            for link in card.get("pull_requests") or []
        ]
