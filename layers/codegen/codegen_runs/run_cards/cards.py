"""Run cards: what a user interface shows of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from codegen_api import AgentRun, PullRequest
from codegen_runs import statuses
from codegen_runs.events import shorten, timestamp
from codegen_runs.redaction import redact
from codegen_runs.runs.actions import AllowedAction, actions_on, allowed_actions
from codegen_runs.runs.health import RunHealth, assess
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.starred import Star

PREVIEW_CHARACTERS = 200
PROMPT_CHARACTERS = 2_000

_REPOSITORY = re.compile(r"https?://[^/]+/([^/]+/[^/]+)/pull/")


class PullRequestLink(BaseModel):
    """A pull request that a run opened or works on."""

    id: int
    title: str | None = None
    url: str | None = None
    branch_name: str | None = None
    created_at: str | None = None


class RunCard(BaseModel):
    """A run at a glance. What nobody knows is null.

    The upstream tells neither prompt nor repository nor when something last happened: these are known of runs that went
    through here, and partly from pull requests and logs.
    """

    id: int | None = Field(description="The Codegen API's id; null before it knows the run, which `key` names.")
    status: Status
    prompt: str | None = Field(None, description="What the run began with.")
    created_at: str | None = None
    updated_at: str | None = Field(None, description="When something last happened in it.")
    web_url: str | None = None
    result_preview: str | None = None
    duration_seconds: float | None = Field(None, description="From created_at to updated_at.")
    metadata: dict[str, Any] | None = None
    repo_name: str | None = None
    branch_name: str | None = None

    key: str | None = Field(None, description="Names the run before the Codegen API does; null for runs unknown here.")
    prompt_truncated: bool = False
    status_reason: str | None = None
    upstream_status: str | None = Field(None, description="The Codegen API's own word.")
    source_type: str | None = Field(None, description="Where it was started: API, SLACK, GITHUB, ...")
    repo_id: int | None = None
    model: str | None = Field(None, description="As asked for; null for the organization's default.")
    agent_type: str | None = Field(None, description="As asked for; null for the organization's default.")
    multi_run_id: str | None = None
    pull_requests: list[PullRequestLink] = []
    starred: bool = Field(False, description="Whether the caller has starred it.")
    starred_at: str | None = None
    health: RunHealth | None = Field(None, description="Null for a run at work that nobody follows here.")
    health_detail: str | None = None
    last_log_at: str | None = Field(None, description="When the newest log entry was written.")
    paused_scope: Literal["queue_only"] | None = None
    allowed_actions: list[AllowedAction] = []


def card(
    run: AgentRun,
    watch: Watch | None = None,
    *,
    star: Star | None = None,
    repos: Mapping[int, str] | None = None,
    now: float,
) -> RunCard:
    """Make the card of an upstream run.

    Args:
        run: What the upstream says.
        watch: What is known of it here, if it is followed: its prompt, that it is paused or being cancelled.
        star: The caller's star, if there is one.
        repos: The names of repositories, `owner/name`, by id.
        now: The time in epoch seconds, for the health.
    """
    status = status_of(run.status, watch)
    created = run.created.timestamp() if run.created else None
    updated = _updated(watch) if watch else None
    known = watch.model_copy(update={"status": status}) if watch else None
    pull_requests = [_link(pull_request) for pull_request in run.github_pull_requests or []]
    return RunCard(
        **_known(known, now) if known else _unknown(status),
        **_starred(star),
        id=run.id,
        status=status,
        upstream_status=run.status,
        created_at=_time(created),
        updated_at=_time(updated),
        duration_seconds=duration(created, updated),
        web_url=run.web_url,
        result_preview=shorten(run.summary or run.result, PREVIEW_CHARACTERS)[0],
        metadata=run.metadata,
        source_type=run.source_type,
        repo_name=_short(repository(run, watch, repos)),
        branch_name=next((link.branch_name for link in pull_requests if link.branch_name), None),
        pull_requests=pull_requests,
        allowed_actions=actions_on(known) if known else allowed_actions(status),
    )


def unlaunched_card(watch: Watch, *, repos: Mapping[int, str] | None = None, now: float) -> RunCard:
    """Make the card of a run that the upstream does not know, and maybe never will."""
    return RunCard(
        **_known(watch, now),
        id=watch.agent_run_id,
        status=watch.status,
        upstream_status=watch.upstream_status,
        created_at=_time(watch.created_at / 1000),
        updated_at=_time(watch.updated_at / 1000),
        web_url=watch.web_url,
        result_preview=shorten(watch.result, PREVIEW_CHARACTERS)[0],
        metadata=watch.launch.metadata if watch.launch else None,
        source_type="API",
        repo_name=_short((repos or {}).get(watch.repo_id or 0)),
        allowed_actions=actions_on(watch),
    )


def status_of(word: str | None, watch: Watch | None) -> Status:
    """Take the upstream's word, which is newer, unless it has none for how the run stands, or comes too late."""
    told = statuses.from_upstream(word)
    if watch and watch.status is Status.CANCELLING and not told.terminal:
        return watch.status
    if watch and watch.status is Status.CANCELLED and told.terminal:
        return watch.status
    return told


def repository(run: AgentRun | None, watch: Watch | None, repos: Mapping[int, str] | None) -> str | None:
    """Name the repository of a run, `owner/name`: the one it was started in, else that of its pull request."""
    if watch and watch.repo_id is not None and repos and (name := repos.get(watch.repo_id)):
        return name
    for pull_request in (run.github_pull_requests or []) if run else []:
        if found := _REPOSITORY.match(pull_request.url or ""):
            return found[1]
    return None


def duration(created: float | None, updated: float | None) -> float | None:
    """Tell the seconds between two moments, if both are known and in order."""
    if created is None or updated is None or updated < created:
        return None
    return round(updated - created, 3)


def _known(watch: Watch, now: float) -> dict[str, Any]:
    """Say what is known here of a run that is followed."""
    prompt, shortened = shorten(watch.prompt, PROMPT_CHARACTERS)
    health, detail = assess(watch, now=now)
    return {
        "key": watch.key,
        "prompt": redact(prompt),
        "prompt_truncated": shortened or bool(watch.prompts and watch.prompt and watch.prompts[0].truncated),
        "status_reason": watch.status_reason,
        "repo_id": watch.repo_id,
        "model": watch.model,
        "agent_type": watch.agent_type,
        "multi_run_id": watch.multi_run_id,
        "health": health,
        "health_detail": detail,
        "last_log_at": _time(watch.logged_at / 1000) if watch.logged_at else None,
        "paused_scope": "queue_only" if watch.paused_at is not None else None,
    }


def _unknown(status: Status) -> dict[str, Any]:
    if status.terminal:
        return {"health": RunHealth.OK, "health_detail": "The run has ended."}
    return {"health_detail": "The run was not started here, and nobody follows it."}


def _starred(star: Star | None) -> dict[str, Any]:
    return {"starred": True, "starred_at": _time(star.starred_at / 1000)} if star else {}


def _updated(watch: Watch) -> float | None:
    """Tell when something last happened in a run, in epoch seconds.

    That is its newest log entry or prompt. Of a run that was started here the end is known as well, which the poller
    sees a little later; of one that was started elsewhere it may have seen it at any time after.
    """
    signs = [watch.logged_at, watch.prompts[-1].at if watch.prompts else None]
    if watch.logged_at is None and watch.prompt is not None:
        signs.append(watch.finished_at)
    known = [sign for sign in signs if sign is not None]
    return max(known) / 1000 if known else None


def _link(pull_request: PullRequest) -> PullRequestLink:
    return PullRequestLink(
        id=pull_request.id,
        title=pull_request.title,
        url=pull_request.url,
        branch_name=pull_request.head_branch_name,
        created_at=_time(pull_request.created.timestamp()) if pull_request.created else None,
    )


def _short(full_name: str | None) -> str | None:
    return full_name.rpartition("/")[2] if full_name else None


def _time(seconds: float | None) -> str | None:
    return timestamp(seconds) if seconds is not None else None
