"""What a deployment of Codegen Runs answers about multi-runs and starred runs."""

from typing import Any

from ._models import Model


class Candidate(Model):
    """One run of a multi-run."""

    index: int
    status: str
    agent_run_id: int | None = None
    result: str | None = None
    reason: str | None = None
    usable: bool | None = None
    log_count: int | None = None


class Answer(Model):
    """The answer of a multi-run, and where it comes from: synthesis, selected, only_candidate or fallback."""

    text: str
    source: str
    reason: str | None = None


class MultiRun(Model):
    """Several runs of one prompt, whose answers become one. Lists leave the candidates out."""

    id: str
    status: str
    prompt: str
    requested: int
    created_at: str | None = None
    finished_at: str | None = None
    answer: Answer | None = None
    reason: str | None = None
    counts: dict[str, int] | None = None
    candidates: list[Candidate] | None = None
    synthesis: dict[str, Any] | None = None

    def is_complete(self) -> bool:
        """Tell whether it has ended, well or not."""
        return self.status in ("completed", "failed", "cancelled")


class Star(Model):
    """A run that the caller wants to find again. `run` is its card, in lists."""

    agent_run_id: int
    starred: bool
    starred_at: str | None = None
    note: str | None = None
    run: dict[str, Any] | None = None
