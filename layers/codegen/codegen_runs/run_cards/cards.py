"""Run cards: the data about a run that a user interface shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from codegen_api import AgentRun, PullRequest
from codegen_runs import statuses
from codegen_runs.events import shorten, timestamp
from codegen_runs.links import link
from codegen_runs.redaction import redact
from codegen_runs.runs.actions import AllowedAction, actions_on, allowed_actions
from codegen_runs.runs.health import RunHealth, assess
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, MultiRunStatus, Strategy
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.starred import Star
from codegen_runs.upstream.unreadable import Unreadable, is_identified

PREVIEW_CHARACTERS = 200
PROMPT_CHARACTERS = 2_000

SOURCE_TYPE = "What started the run: API, SLACK, GITHUB, ..."
STARRED = "Whether the caller has starred the run."
"""Descriptions of fields that lists can filter by."""

Model = Annotated[str | None, Field(description="The requested model; null for the organization's default.")]
AgentType = Annotated[str | None, Field(description="The requested agent type; null for the organization's default.")]

_STATUSES = {
    MultiRunStatus.QUEUED: Status.QUEUED,
    MultiRunStatus.COMPLETED: Status.COMPLETED,
    MultiRunStatus.FAILED: Status.FAILED,
    MultiRunStatus.CANCELLED: Status.CANCELLED,
}
"""The statuses of multi-runs in the words of runs. All others are `running`."""

_REPOSITORY = re.compile(r"https?://[^/]+/([^/]+/[^/]+)/pull/")


class PullRequestLink(BaseModel):
    """A pull request that a run opened or works on."""

    id: int | None = Field(description="Null if Codegen's id cannot be read.")
    title: str | None = None
    url: str | None = None
    branch_name: str | None = None
    created_at: str | None = None


class FoldedMultiRun(BaseModel):
    """The multi-run that a card stands for."""

    id: str
    strategy: Strategy
    requested: int = Field(description="The number of candidates.")
    link: str = Field(description="The path of the multi-run, which has all its runs.")


class RunCard(BaseModel):
    """A run at a glance. Unknown values are null.

    The Codegen API does not return a run's prompt, its repository or the time of its last activity. This deployment
    knows them for runs that it started or continued, and reads some of them from pull requests and logs.
    """

    id: int | None = Field(
        description="The Codegen API's id. Null before the launch, when `key` names the run, and if it cannot be read."
    )
    status: Status
    prompt: str | None = Field(None, description="The first prompt of the run.")
    created_at: str | None = None
    updated_at: str | None = Field(None, description="The time of the run's last activity.")
    web_url: str | None = None
    result_preview: str | None = None
    duration_seconds: float | None = Field(None, description="From created_at to updated_at.")
    metadata: dict[str, Any] | None = None
    repo_name: str | None = None
    branch_name: str | None = None

    key: str | None = Field(
        None, description="This deployment's name for the run; null for a run that it does not follow."
    )
    prompt_truncated: bool = False
    status_reason: str | None = None
    upstream_status: str | None = Field(None, description="The status that the Codegen API reports.")
    source_type: str | None = Field(None, description=SOURCE_TYPE)
    repo_id: int | None = None
    model: Model = None
    agent_type: AgentType = None
    multi_run_id: str | None = None
    multi_run: FoldedMultiRun | None = Field(
        None, description="Set if the card stands for a multi-run. Its runs are not in the list then."
    )
    pull_requests: list[PullRequestLink] = []
    starred: bool = Field(False, description=STARRED)
    starred_at: str | None = None
    health: RunHealth | None = Field(
        None, description="Null for a run that is at work and that this deployment does not follow."
    )
    health_detail: str | None = None
    last_log_at: str | None = Field(None, description="The time of the newest log entry.")
    paused_scope: Literal["queue_only"] | None = None
    allowed_actions: list[AllowedAction] = Field([], description="Empty if the run has no id that can be read.")
    unreadable: Unreadable = []


def card(
    run: AgentRun,
    watch: Watch | None = None,
    *,
    star: Star | None = None,
    repos: Mapping[int, str] | None = None,
    now: float,
) -> RunCard:
    """Return the card of an upstream run.

    Args:
        run: The upstream's data.
        watch: The run's watch, if the run is followed. It knows the prompts, pauses and cancels.
        star: The caller's star, if the run has one.
        repos: Repository names, `owner/name`, by id.
        now: The time in epoch seconds, for the health.
    """
    status = status_of(run.status, watch)
    created = run.created_at.timestamp() if run.created_at else None
    updated = _updated(watch) if watch else None
    current = watch.model_copy(update={"status": status}) if watch else None
    pull_requests = [_link(pull_request) for pull_request in run.github_pull_requests or []]
    return RunCard(
        **_followed(current, now) if current else _not_followed(status),
        **_starred(star),
        id=run.id if is_identified(run) else None,
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
        allowed_actions=_actions(run, status, current),
        unreadable=run.unreadable,
    )


def unlaunched_card(watch: Watch, *, repos: Mapping[int, str] | None = None, now: float) -> RunCard:
    """Return the card of a run that the upstream does not know yet."""
    return RunCard(
        **_followed(watch, now),
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


def multi_run_card(multi_run: MultiRun, *, repos: Mapping[int, str] | None = None) -> RunCard:
    """Return the card of a multi-run, which stands for all its runs."""
    prompt, shortened = shorten(multi_run.prompt, PROMPT_CHARACTERS)
    created = multi_run.created_at / 1000
    ended = multi_run.finished_at / 1000 if multi_run.finished_at is not None else None
    path = link(f"/v1/organizations/{multi_run.org_id}/multi-runs/{multi_run.id}")
    return RunCard(
        id=None,
        key=multi_run.id,
        status=_STATUSES.get(multi_run.status, Status.RUNNING),
        status_reason=multi_run.reason,
        prompt=redact(prompt),
        prompt_truncated=shortened,
        created_at=_time(created),
        updated_at=_time(ended),
        duration_seconds=duration(created, ended),
        result_preview=shorten(answer.text, PREVIEW_CHARACTERS)[0] if (answer := multi_run.current_answer) else None,
        metadata=multi_run.metadata,
        source_type="API",
        repo_id=multi_run.repo_id,
        repo_name=_short((repos or {}).get(multi_run.repo_id or 0)),
        multi_run_id=multi_run.id,
        multi_run=FoldedMultiRun(
            id=multi_run.id, strategy=multi_run.strategy, requested=len(multi_run.candidates), link=path
        ),
    )


def stored_card(watch: Watch, *, star: Star | None = None, now: float) -> RunCard:
    """Return the card of a run from what this deployment has stored, while the upstream does not respond."""
    stored = unlaunched_card(watch, now=now).model_dump(exclude={"source_type"})
    return RunCard.model_validate(stored | _starred(star))


def status_of(upstream_status: str | None, watch: Watch | None) -> Status:
    """Return the status of a run: the upstream's, which is newer than the watch's, with two exceptions.

    The upstream has no status for a run that is being cancelled. And a run that was cancelled here stays cancelled when
    the upstream reports another end.
    """
    status = statuses.from_upstream(upstream_status)
    if watch and watch.status is Status.CANCELLING and not status.terminal:
        return watch.status
    if watch and watch.status is Status.CANCELLED and status.terminal:
        return watch.status
    return status


def repository(run: AgentRun | None, watch: Watch | None, repos: Mapping[int, str] | None) -> str | None:
    """Return the repository of a run, `owner/name`: the one that it was started in, else that of its pull request."""
    if watch and watch.repo_id is not None and repos and (name := repos.get(watch.repo_id)):
        return name
    for pull_request in (run.github_pull_requests or []) if run else []:
        if match := _REPOSITORY.match(pull_request.url or ""):
            return match[1]
    return None


def duration(created: float | None, updated: float | None) -> float | None:
    """Return the seconds between two times; None if one is unknown or they are out of order."""
    if created is None or updated is None or updated < created:
        return None
    return round(updated - created, 3)


def _followed(watch: Watch, now: float) -> dict[str, Any]:
    """Return the fields of a card that come from the watch."""
    prompt, shortened = shorten(None if watch.is_internal else watch.prompt, PROMPT_CHARACTERS)
    is_beginning = bool(prompt and watch.prompts[0].truncated)
    health, detail = assess(watch, now=now)
    return {
        "key": watch.key,
        "prompt": redact(prompt),
        "prompt_truncated": shortened or is_beginning,
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


def _not_followed(status: Status) -> dict[str, Any]:
    if status.terminal:
        return {"health": RunHealth.OK, "health_detail": "The run has ended."}
    return {"health_detail": "This deployment did not start the run and does not follow it."}


def _actions(run: AgentRun, status: Status, watch: Watch | None) -> list[AllowedAction]:
    if watch:
        return actions_on(watch)
    return allowed_actions(status) if is_identified(run) else []


def _starred(star: Star | None) -> dict[str, Any]:
    return {"starred": True, "starred_at": _time(star.starred_at / 1000)} if star else {}


def _updated(watch: Watch) -> float | None:
    """Return the time of a run's last activity, in epoch seconds: its newest log entry or its newest prompt.

    A run without logs that was started here counts its end too, which the poller sees within seconds. A run that was
    started elsewhere does not: the poller may have seen its end much later.
    """
    times = [watch.logged_at, watch.prompts[-1].at if watch.prompts else None]
    if watch.logged_at is None and watch.prompt is not None:
        times.append(watch.finished_at)
    known = [time for time in times if time is not None]
    return max(known) / 1000 if known else None


def _link(pull_request: PullRequest) -> PullRequestLink:
    return PullRequestLink(
        id=pull_request.id if is_identified(pull_request) else None,
        title=pull_request.title,
        url=pull_request.url,
        branch_name=pull_request.head_branch_name,
        created_at=_time(pull_request.created_at.timestamp()) if pull_request.created_at else None,
    )


def _short(full_name: str | None) -> str | None:
    return full_name.rpartition("/")[2] if full_name else None


def _time(seconds: float | None) -> str | None:
    return timestamp(seconds) if seconds is not None else None
