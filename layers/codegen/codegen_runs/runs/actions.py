"""What can be done with a run at this moment, by which means, and what else that does.

The same rules decide what a card offers and what an endpoint refuses, so that no offer ends in a 409.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch


class Action(StrEnum):
    """What a caller may do with a run."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    FOLLOW_UP = "follow_up"


class Means(StrEnum):
    """How a run is cancelled."""

    LOCAL = "local"
    """It is never launched; the upstream does not hear of it."""
    PR_BAN = "pr_ban"
    """The pull request is banned, which is the upstream's only way to stop a run."""


class SideEffect(BaseModel):
    """What an action does besides."""

    code: str
    detail: str


# As the upstream's own document describes its ban; there is no narrower way to stop a run.
BAN_EFFECTS = (
    SideEffect(
        code="stops_other_agents",
        detail="Every other agent that works on the same pull request is stopped as well.",
    ),
    SideEffect(
        code="mutes_checks",
        detail="Failing checks of the pull request wake no agent any more, until it is unbanned (agent/run/unban).",
    ),
)


class AllowedAction(BaseModel):
    """One action, and whether it can be taken now."""

    action: Action
    enabled: bool
    reason: str | None = Field(None, description="Why it cannot be taken now.")
    means: Means | None = Field(
        None, description="How a cancel is done. `pr_ban` has to be allowed: `allow_pr_ban` in the request."
    )
    side_effects: list[SideEffect] = []


def allowed_actions(
    status: Status, *, launched: bool = True, paused: bool = False, recalled: bool = False
) -> list[AllowedAction]:
    """List what can be done with a run.

    Args:
        status: Where it stands.
        launched: Whether it has a run upstream.
        paused: Whether what would be sent upstream is held.
        recalled: Whether a cancel has been asked for in this turn.
    """
    return [
        _cancel(status, launched=launched, recalled=recalled),
        offered(Action.PAUSE, refused_pause(status, paused=paused, recalled=recalled)),
        offered(Action.RESUME, None if paused else "It is not paused."),
        offered(Action.FOLLOW_UP, refused_follow_up(status, launched=launched, paused=paused, recalled=recalled)),
    ]


def actions_on(watch: Watch) -> list[AllowedAction]:
    """List what can be done with a run that is followed here."""
    return allowed_actions(
        watch.status,
        launched=watch.agent_run_id is not None,
        paused=watch.paused_at is not None,
        recalled=watch.cancel is not None,
    )


def means_for(status: Status, *, launched: bool) -> Means:
    """Tell how a run that has not ended would be cancelled; one that is being launched may have to be banned."""
    return Means.PR_BAN if launched or status is Status.LAUNCHING else Means.LOCAL


def effects_of(means: Means | None) -> list[SideEffect]:
    """List what a cancel by these means does besides."""
    return list(BAN_EFFECTS) if means is Means.PR_BAN else []


def refused_pause(status: Status, *, paused: bool, recalled: bool) -> str | None:
    """Say why a run cannot be paused; None when it can."""
    if status.terminal:
        return f"It has ended: {status}."
    if status is Status.CANCELLING or recalled:
        return "It is being cancelled."
    return "It is paused already." if paused else None


def refused_follow_up(status: Status, *, launched: bool, paused: bool, recalled: bool) -> str | None:
    """Say why a run cannot be sent another prompt; None when it can."""
    if paused:
        return "It is paused: resume it first."
    if not launched:
        return "It has ended without a run upstream." if status.terminal else "It has not been launched yet."
    if not status.terminal and (status is Status.CANCELLING or recalled):
        return "It is being cancelled."
    return None


def offered(action: Action, refusal: str | None) -> AllowedAction:
    """Offer an action, unless there is a reason to refuse it."""
    return AllowedAction(action=action, enabled=refusal is None, reason=refusal)


def _cancel(status: Status, *, launched: bool, recalled: bool) -> AllowedAction:
    if status.terminal:
        return offered(Action.CANCEL, f"It has ended: {status}.")
    if status is Status.CANCELLING or recalled:
        return offered(Action.CANCEL, "It is being cancelled.")
    means = means_for(status, launched=launched)
    return AllowedAction(action=Action.CANCEL, enabled=True, means=means, side_effects=effects_of(means))
