"""Which actions a run allows now, how each is carried out, and its side effects.

Cards and endpoints use the same rules, so an endpoint does not answer 409 to an action that a card offers.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch


class Action(StrEnum):
    """An action on a run or on a multi-run."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    FOLLOW_UP = "follow_up"
    RETRY = "retry"
    RESYNTHESIZE = "resynthesize"
    PICK = "pick"
    UNPICK = "unpick"


class Means(StrEnum):
    """How a run is cancelled."""

    LOCAL = "local"
    """The run is never launched; nothing is sent upstream."""
    PR_BAN = "pr_ban"
    """The run's pull request is banned, which is the upstream's only way to stop a run."""


class SideEffect(BaseModel):
    """A further effect of an action."""

    code: str
    detail: str


# From the upstream's documentation of its ban operation; there is no narrower way to stop a run.
BAN_EFFECTS = (
    SideEffect(
        code="stops_other_agents",
        detail="Every other agent that works on the same pull request stops too.",
    ),
    SideEffect(
        code="mutes_checks",
        detail="Failing checks of the pull request start no agents until you unban it (agent/run/unban).",
    ),
)


_BEING_CANCELLED = "The run is being cancelled."


class AllowedAction(BaseModel):
    """One action, and whether it is allowed now."""

    action: Action
    enabled: bool
    reason: str | None = Field(None, description="Why the action is not allowed now.")
    means: Means | None = Field(
        None, description="How the run is cancelled. `pr_ban` requires `allow_pr_ban` in the request."
    )
    side_effects: list[SideEffect] = []


def allowed_actions(
    status: Status, *, launched: bool = True, paused: bool = False, cancel_requested: bool = False
) -> list[AllowedAction]:
    """List the actions on a run.

    Args:
        status: The status of the run.
        launched: Whether the run exists upstream.
        paused: Whether its launch or its follow-ups are held.
        cancel_requested: Whether a cancel was requested in this turn.
    """
    return [
        _cancel(status, launched=launched, cancel_requested=cancel_requested),
        offered(Action.PAUSE, refused_pause(status, paused=paused, cancel_requested=cancel_requested)),
        offered(Action.RESUME, None if paused else "The run is not paused."),
        offered(
            Action.FOLLOW_UP,
            refused_follow_up(status, launched=launched, paused=paused, cancel_requested=cancel_requested),
        ),
    ]


def actions_on(watch: Watch) -> list[AllowedAction]:
    """List the actions on a run that is followed."""
    return allowed_actions(
        watch.status,
        launched=watch.agent_run_id is not None,
        paused=watch.paused_at is not None,
        cancel_requested=watch.cancel is not None,
    )


def means_for(status: Status, *, launched: bool) -> Means:
    """Return how to cancel a run that has not ended; a run that is being launched may need a ban."""
    return Means.PR_BAN if launched or status is Status.LAUNCHING else Means.LOCAL


def effects_of(means: Means | None) -> list[SideEffect]:
    """List the side effects of a cancel."""
    return list(BAN_EFFECTS) if means is Means.PR_BAN else []


def refused_pause(status: Status, *, paused: bool, cancel_requested: bool) -> str | None:
    """Return why a run cannot be paused; None if it can."""
    if status.terminal:
        return ended(status)
    if status is Status.CANCELLING or cancel_requested:
        return _BEING_CANCELLED
    return "The run is already paused." if paused else None


def refused_follow_up(status: Status, *, launched: bool, paused: bool, cancel_requested: bool) -> str | None:
    """Return why a run cannot receive another prompt; None if it can."""
    if paused:
        return "The run is paused. Resume it first."
    if not launched:
        return "The run ended before it was launched." if status.terminal else "The run has not been launched yet."
    if not status.terminal and (status is Status.CANCELLING or cancel_requested):
        return _BEING_CANCELLED
    return None


def ended(status: Status) -> str:
    """Return the reason that a run which has ended gives for refusing an action."""
    return f"The run has ended with status {status}."


def offered(action: Action, refusal: str | None) -> AllowedAction:
    """Allow an action, unless there is a reason to refuse it."""
    return AllowedAction(action=action, enabled=refusal is None, reason=refusal)


def _cancel(status: Status, *, launched: bool, cancel_requested: bool) -> AllowedAction:
    if status.terminal:
        return offered(Action.CANCEL, ended(status))
    if status is Status.CANCELLING or cancel_requested:
        return offered(Action.CANCEL, _BEING_CANCELLED)
    means = means_for(status, launched=launched)
    return AllowedAction(action=Action.CANCEL, enabled=True, means=means, side_effects=effects_of(means))
