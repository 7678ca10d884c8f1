"""Runs that are started with an agent."""

from collections.abc import Iterator
from typing import Any

import pytest

from codegen_api import CodegenAPI
from codegen_runs import upstream
from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent, UpdateAgent
from codegen_runs.agents.composing import compose
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, DEMO_TOKEN, FakeCodegen, FakeTransport
from local.template import Template
from tests.support.events import Answer, call, rest
from tests.support.handlers import handler

ADA = Caller("user:789", 789, frozenset({DEMO_ORG_ID, 124}), DEMO_TOKEN)


@pytest.fixture(autouse=True)
def _reviewer(deployed: Template, fake: FakeCodegen) -> Iterator[None]:
    agent = CreateAgent(
        id="reviewer",
        name="Reviewer",
        system_prompt="You review code.",
        configuration={"focus": "security"},
        model="claude-sonnet",
        repo_id=DEMO_REPO_ID,
    )
    profiles.create(agent, org_id=DEMO_ORG_ID, caller=ADA, backend=Backend())
    with upstream.over(FakeTransport(fake)):
        yield


def start(**body: Any) -> Answer:
    path = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"
    return call(handler("agent_runs/create"), rest("POST", path, body={"prompt": "Look at it."} | body, caller=ADA))


def test_the_prompt_has_the_agents_instructions_and_the_run_names_the_agent(fake: FakeCodegen, runs: RunsTable) -> None:
    answer = start(agent_id="reviewer", metadata={"ticket": 7})
    run = fake.runs[answer.json["id"]]

    assert answer.status == 200
    assert run.turns[0].prompt == (
        '# Instructions\n\nYou review code.\n\n# Configuration\n\n```json\n{\n  "focus": "security"\n}\n```\n\n'
        "# Task\n\nLook at it."
    )
    assert (run.model, run.repo_id) == ("claude-sonnet", DEMO_REPO_ID)
    assert answer.json["metadata"] == {"ticket": 7, "agent_id": "reviewer", "agent_version": 1}
    assert "warnings" not in answer.json


def test_the_prompt_is_recorded_without_the_instructions(runs: RunsTable) -> None:
    watch = runs.find(DEMO_ORG_ID, start(agent_id="reviewer").json["id"])

    assert watch
    assert watch.prompt == "Look at it."
    assert watch.prompts[0].source == {"agent_id": "reviewer", "agent_version": 1}
    assert (watch.model, watch.repo_id) == ("claude-sonnet", DEMO_REPO_ID)


def test_the_request_overrides_the_profile(fake: FakeCodegen, codegen: CodegenAPI) -> None:
    other = next(repo.id for repo in codegen.repos.list(org_id=DEMO_ORG_ID).items if repo.id != DEMO_REPO_ID)
    run = fake.runs[start(agent_id="reviewer", model="gpt-5", repo_id=other).json["id"]]

    assert (run.model, run.repo_id) == ("gpt-5", other)


def test_a_later_version_is_reported_as_later() -> None:
    profiles.update("reviewer", UpdateAgent(name="Reviewer 2"), org_id=DEMO_ORG_ID, caller=ADA, backend=Backend())

    assert start(agent_id="reviewer").json["metadata"]["agent_version"] == 2


@pytest.mark.parametrize("agent_id", ["nobody", "a#b", ""])
def test_an_unknown_agent_starts_nothing(agent_id: str, fake: FakeCodegen) -> None:
    before = len(fake.runs)
    answer = start(agent_id=agent_id)

    assert (answer.status, answer.json["code"]) == (404, "agent_not_found")
    assert len(fake.runs) == before


def test_an_agent_without_instructions_changes_no_prompt() -> None:
    assert compose("Look at it.", system_prompt=" ", configuration={}) == "Look at it."
