"""Tasks as values: their status, what they are started with, and what is known of them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

from ._ids import Id
from ._models import AgentRun, AgentRunLogs, Harness, PullRequest, Webhooks, parse_timestamp


class TaskStatus(StrEnum):
    """Where a task stands. The last three are final until the task is followed up."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more is expected."""
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


# Codegen documents no statuses: these are those of its clients and of live answers, and those of a deployment. Any
# other word is that of a task that goes on.
_STATUSES = {
    "pending": TaskStatus.PENDING,
    "queued": TaskStatus.PENDING,
    "launching": TaskStatus.PENDING,
    "complete": TaskStatus.COMPLETED,
    "completed": TaskStatus.COMPLETED,
    "error": TaskStatus.FAILED,
    "failed": TaskStatus.FAILED,
    "incomplete": TaskStatus.FAILED,
    "max_iterations_reached": TaskStatus.FAILED,
    "out_of_tokens": TaskStatus.FAILED,
    "timeout": TaskStatus.FAILED,
    "timed_out": TaskStatus.FAILED,
    "cancelled": TaskStatus.CANCELLED,
    "stopped": TaskStatus.CANCELLED,
}


def status_of(word: str | None) -> TaskStatus:
    """Read a status word, in any case."""
    return _STATUSES.get((word or "").lower(), TaskStatus.RUNNING)


class RunOptions(TypedDict):
    """What a task may be started with, besides its prompt. `api.runs.create` tells what each means.

    `agent_id`, an agent of the deployment, and `idempotency_key` are for deployments alone.
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
    """What is known of a task. It is updated in place."""

    id: int
    org_id: int
    status: TaskStatus = TaskStatus.PENDING
    word: str | None = None
    prompt: str | None = None
    result: str | None = None
    summary: str | None = None
    error: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    web_url: str | None = None
    metadata: dict[str, Any] | None = None
    pull_requests: list[PullRequest] = field(default_factory=list)

    def ended(self) -> bool:
        """Tell whether nothing more is expected."""
        return self.status.final

    def move(self, word: str | None) -> None:
        """Take a status in."""
        self.word, self.status = word, status_of(word)
        if self.status is not TaskStatus.FAILED:
            self.error = None

    def read(self, run: AgentRun | AgentRunLogs) -> None:
        """Take in what Codegen tells."""
        self.move(run.status)
        self.result, self.created_at, self.web_url, self.metadata = run.result, run.created, run.web_url, run.metadata
        if isinstance(run, AgentRun):
            self.summary, self.pull_requests = run.summary, run.github_pull_requests or []

    def read_card(self, card: dict[str, Any]) -> None:
        """Take in what a deployment tells, which knows more than Codegen. Its cards shorten a prompt."""
        self.move(card.get("status"))
        self.prompt = self.prompt or card.get("prompt")
        self.created_at, self.updated_at = _moment(card.get("created_at")), _moment(card.get("updated_at"))
        self.result, self.summary = card.get("result"), card.get("summary")
        self.web_url, self.metadata = card.get("web_url"), card.get("metadata")
        if self.status is TaskStatus.FAILED:
            self.error = card.get("status_reason") or self.error
        self.pull_requests = [
            PullRequest.model_validate({**link, "head_branch_name": link.get("branch_name")})
            for link in card.get("pull_requests") or []
        ]


def _moment(text: str | None) -> datetime | None:
    try:
        return parse_timestamp(text) if text else None
    except ValueError:
        return None
