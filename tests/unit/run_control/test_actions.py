"""Cards and snapshots allow exactly the actions that the endpoints accept."""

from collections.abc import Callable
from typing import Any

import pytest

from codegen_api import AgentRun, CodegenAPI
from codegen_runs.run_cards.cards import card
from codegen_runs.runs.actions import allowed_actions
from codegen_runs.runs.snapshots import run_snapshot
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from local.fake_codegen import DEMO_ORG_ID, FakeCodegen, Script, Trouble
from tests.support.memory import MemoryRuns
from tests.unit.run_control.controls import KEY, Act, offers, stored

CONSENT = {"allow_pr_ban": True}
VERBS: dict[str, tuple[str, Any]] = {
    "cancel": ("cancel", CONSENT),
    "pause": ("pause", None),
    "resume": ("resume", None),
    "follow_up": ("resume", {"prompt": "Go on."}),
}


def bring(state: str, act: Act, poll: Callable[[float], None], fake: FakeCodegen) -> None:
    """Bring a queued run to a state."""
    stages = state.split(", ")
    if "launching" in stages:
        fake.trouble("create_agent_run", Trouble("lost_answer"))
        poll(1)
    if "running" in stages:
        fake.script(Script(ending="NEVER"))
        poll(5)
    if "paused at Codegen" in stages:
        fake.script(Script(ending="PAUSED", seconds=1))
        poll(5)
    if "paused" in stages:
        act("pause", KEY)
    if "cancel requested" in stages or "cancelling" in stages or "cancelled" in stages:
        act("cancel", KEY, CONSENT)
    if "completed" in stages or "stopped" in stages:
        poll(58)


@pytest.mark.parametrize("action", VERBS)
@pytest.mark.parametrize(
    "state",
    [
        "queued",
        "paused",
        "cancelled",
        "launching",
        "launching, paused",
        "launching, cancel requested",
        "running",
        "running, paused",
        "running, cancelling",
        "running, paused, cancelling",
        "running, cancelling, stopped",
        "paused at Codegen",
        "completed",
        "launching, paused, completed",
    ],
)
def test_an_action_is_allowed_exactly_when_its_endpoint_accepts_it(
    state: str,
    action: str,
    queued: Watch,
    act: Act,
    poll: Callable[[float], None],
    fake: FakeCodegen,
    runs: MemoryRuns,
) -> None:
    bring(state, act, poll, fake)
    before = stored(runs)
    snapshot = run_snapshot(before, now=0).model_dump(mode="json")
    verb, body = VERBS[action]
    answer = act(verb, KEY, body)

    # A repeated cancel and a repeated pause succeed, although they are not offered.
    done = {"cancel": before.cancel is not None, "pause": before.paused_at is not None}.get(action, False)
    accepted = offers(snapshot)[action] or (done and not before.status.terminal)
    assert answer.status in ((200, 202) if accepted else (409,))


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("launched", [False, True])
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("cancel_requested", [False, True])
def test_only_a_disallowed_action_has_a_reason(
    status: Status, launched: bool, paused: bool, cancel_requested: bool
) -> None:
    actions = allowed_actions(status, launched=launched, paused=paused, cancel_requested=cancel_requested)

    assert [each.action for each in actions] == ["cancel", "pause", "resume", "follow_up"]
    assert all((each.reason is None) is each.enabled for each in actions)
    cancel = actions[0]
    assert cancel.enabled is (cancel.means is not None)
    assert bool(cancel.side_effects) is (cancel.means == "pr_ban")


def test_the_side_effects_of_a_ban_are_known_before_it_is_allowed(running: Watch) -> None:
    (cancel, *_) = run_snapshot(running, now=0).model_dump(mode="json")["allowed_actions"]

    assert (cancel["enabled"], cancel["means"]) == (True, "pr_ban")
    assert [effect["code"] for effect in cancel["side_effects"]] == ["stops_other_agents", "mutes_checks"]
    assert all(effect["detail"].endswith(".") for effect in cancel["side_effects"])


@pytest.mark.parametrize(
    ("word", "watched", "shown"),
    [
        ("ACTIVE", None, "running"),
        ("ACTIVE", "running", "running"),
        ("COMPLETE", "running", "completed"),
        ("ACTIVE", "cancelling", "cancelling"),
        ("COMPLETE", "cancelling", "completed"),
        ("COMPLETE", "cancelled", "cancelled"),
        ("ACTIVE", "cancelled", "running"),
        ("PONDERING", "completed", "unknown"),
    ],
)
def test_a_card_combines_the_upstreams_status_with_ours(
    word: str, watched: str | None, shown: str, queued: Watch, codegen: CodegenAPI
) -> None:
    run: AgentRun = codegen.runs.list(org_id=DEMO_ORG_ID).items[0].model_copy(update={"status": word})
    watch = queued.model_copy(update={"agent_run_id": run.id, "status": Status(watched)}) if watched else None

    assert card(run, watch, now=0).status == shown
    assert offers(card(run, watch, now=0).model_dump(mode="json"))["cancel"] is (shown in ("running", "unknown"))


def test_the_card_of_a_paused_run_allows_to_resume_it(
    running: Watch, act: Act, runs: MemoryRuns, codegen: CodegenAPI
) -> None:
    act("pause", KEY)
    run = codegen.runs.get(running.agent_run_id or 0, org_id=DEMO_ORG_ID)

    assert offers(card(run, stored(runs), now=0).model_dump(mode="json")) == {
        "cancel": True,
        "pause": False,
        "resume": True,
        "follow_up": False,
    }
