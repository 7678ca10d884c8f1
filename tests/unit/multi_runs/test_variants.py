"""The candidates of a request: variants, their defaults, and agents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent, UpdateAgent
from codegen_runs.multi_runs import variants
from codegen_runs.multi_runs.parameters import CreateMultiRun
from codegen_runs.storage.multi_runs import Variant
from tests.support.events import CALLER, current
from tests.unit.multi_runs.flow import ORG, Runs, create, get, task

pytestmark = pytest.mark.usefixtures("state_machine")


def keep_agent(id_: str, **options: Any) -> None:
    agent = CreateAgent(id=id_, name=id_, **options)
    profiles.create(agent, org_id=ORG, caller=CALLER, backend=current())


def candidates(**body: Any) -> list[Any]:
    answer = create({"prompt": "Go.", **body})
    assert answer.status == 202, answer.json
    return list(answer.json["candidates"])


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({}, [None] * 3),
        ({"concurrency": 2}, [None] * 2),
        ({"variants": [{"model": "a"}, {"model": "b"}]}, ["a", "b"]),
        ({"variants": [{"model": "a"}, {}], "model": "c"}, ["a", "c"]),
        ({"variants": [{"model": "a"}, {"model": "b"}], "concurrency": 2}, ["a", "b", "a", "b"]),
    ],
)
def test_each_variant_has_as_many_candidates_as_concurrency_says(body: Any, models: list[str | None]) -> None:
    assert [each["model"] for each in candidates(**body)] == models


def test_a_candidate_has_every_option_of_its_variant_or_of_the_multi_run() -> None:
    own = {"prompt": "Look.", "model": "a", "agent_type": "claude_code", "repo_id": 7}
    shared = {"model": "b", "agent_type": "codegen", "repo_id": 8}
    found = candidates(variants=[own, {}], **shared)

    assert [{name: each[name] for name in own} for each in found] == [own, shared | {"prompt": None}]


def test_the_options_of_a_variant_come_before_those_of_its_agent_and_of_the_multi_run() -> None:
    keep_agent("own", model="own", repo_id=1)
    keep_agent("shared", model="shared", repo_id=2)
    named = {"agent_id": "own"}

    def options(variant: Any, **body: Any) -> tuple[Any, ...]:
        (only,) = candidates(variants=[variant], **body)
        return only["model"], only["repo_id"], only["agent_id"], only["agent_version"]

    assert options(named | {"model": "v", "repo_id": 3}, model="m", repo_id=4) == ("v", 3, "own", 1)
    assert options(named, model="m", repo_id=4, agent_id="shared") == ("own", 1, "own", 1)
    assert options({}, model="m", repo_id=4, agent_id="shared") == ("m", 4, "shared", 1)
    assert options({}, agent_id="shared") == ("shared", 2, "shared", 1)


def test_a_run_gets_the_instructions_of_its_agent_in_the_version_of_the_request(upstream: Runs) -> None:
    keep_agent("tester", system_prompt="You test code.", configuration={"style": "brief"})
    variants_ = [{"agent_id": "tester"}, {"agent_id": "tester", "system_prompt": "You break code."}, {}]
    multi_run_id = create({"prompt": "Try it.", "system_prompt": "You are calm.", "variants": variants_}).json["id"]
    profiles.update("tester", UpdateAgent(system_prompt="You changed."), org_id=ORG, caller=CALLER, backend=current())
    upstream.launch(multi_run_id)
    runs = [upstream.fake.runs[each["agent_run_id"]] for each in get(multi_run_id).json["candidates"]]
    first, second, third = (run.turns[0].prompt for run in runs)

    assert first.startswith("# Instructions\n\nYou test code.\n\n# Configuration\n")
    assert second.startswith("# Instructions\n\nYou break code.\n\n# Configuration\n")
    assert third == "# Instructions\n\nYou are calm.\n\n# Task\n\nTry it."
    assert [(run.metadata or {}).get("agent_version") for run in runs] == [1, 1, None]


def test_the_record_of_a_prompt_has_no_instructions(upstream: Runs) -> None:
    multi_run_id = create({"prompt": "Try it.", "system_prompt": "You are calm.", "concurrency": 1}).json["id"]
    task("plan", multi_run_id)
    task("launch", multi_run_id, index=0, task_token="token")
    key = f"{multi_run_id}-0"
    queued = current().runs.get(ORG, key)
    upstream.follow()
    launched = current().runs.get(ORG, key)

    assert queued
    assert launched
    assert (queued.prompt, launched.prompt, launched.launch) == ("Try it.", "Try it.", None)


def test_an_unknown_agent_is_refused_before_anything_is_stored() -> None:
    answer = create({"prompt": "Go.", "variants": [{}, {"agent_id": "nobody"}]})

    assert (answer.status, answer.json["code"]) == (404, "agent_not_found")
    assert current().multi_runs.newest(ORG, 1) == ([], None)


def test_an_unknown_option_of_a_variant_has_a_warning() -> None:
    answer = create({"prompt": "Go.", "variants": [{}, {"temperature": 1}]})

    assert [warning["pointer"] for warning in answer.json["warnings"]] == ["/variants/1/temperature"]


def test_the_deployment_decides_how_many_candidates_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_CANDIDATES", "45")

    assert len(candidates(concurrency=15, variants=[{}, {"model": "a"}, {"model": "b"}])) == 45
    assert create({"prompt": "Go.", "concurrency": 46}).status == 422


@pytest.mark.parametrize(("count", "many"), [(40, False), (41, True)])
def test_more_candidates_than_an_inline_map_has_branches_are_many(
    count: int, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_CANDIDATES", "45")
    plan = task("plan", create({"prompt": "Go.", "concurrency": count}).json["id"])

    assert (plan["next"], len(plan["candidates"]), plan["many"]) == ("launch", count, many)


@given(st.integers(1, 30), st.integers(0, 6), st.booleans())
def test_a_request_is_accepted_exactly_within_the_limit(concurrency: int, variants: int, is_given: bool) -> None:
    body: dict[str, Any] = {"prompt": "Go.", "variants": [{"model": str(n)} for n in range(variants)] or None}
    if is_given:
        body["concurrency"] = concurrency
    expected = (concurrency if is_given else 1 if variants else 3) * max(1, variants)
    try:
        request = CreateMultiRun.model_validate(body)
    except ValueError:
        assert expected > 20
    else:
        assert request.requested == expected <= 20


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.integers(1, 4))
def test_candidates_are_dealt_in_turn(models: list[str], copies: int) -> None:
    dealt = variants.dealt([Variant(model=model) for model in models], copies)

    assert [each.model for each in dealt] == models * copies
    groups = variants.identical(dealt)
    assert all(len({dealt[place] for place in group}) == 1 and len(group) > 1 for group in groups)
    assert sum(map(len, groups)) == sum(dealt.count(each) > 1 for each in dealt)
