"""Whatever an execution is started with, a task gets what it expects or refuses it, and nothing is launched."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.multi_runs.task_inputs import (
    AskInput,
    GatherInput,
    InvalidInput,
    LaunchInput,
    PublishInput,
    SynthesizeInput,
    TaskInput,
)
from local.fake_codegen import FakeCodegen
from tests.support.events import current
from tests.support.json_values import json_values, texts
from tests.unit.multi_runs.flow import ORG, Runs, create, task

names = ["execution", "next", "wave", "index", "judge_run", "judge_runs", "task_token", "error"]
states = st.fixed_dictionaries(
    {"org_id": st.just(ORG) | json_values, "multi_run_id": texts | json_values},
    optional=dict.fromkeys(names, json_values | st.integers(-2, 99) | st.sampled_from(["launch", "judge"])),
)
INPUTS = [TaskInput, LaunchInput, GatherInput, AskInput, SynthesizeInput, PublishInput]


@pytest.mark.parametrize("kind", INPUTS)
@given(event=json_values | states)
def test_an_input_is_read_or_refused(kind: type[TaskInput], event: Any) -> None:
    try:
        arguments = kind.read(event)
    except InvalidInput:
        return

    assert type(arguments["org_id"]) is int
    assert type(arguments["multi_run_id"]) is str
    for name in ("index", "number", "wave"):
        assert arguments.get(name) is None or arguments[name] >= 0
    assert isinstance(arguments.get("error"), str | None)
    json.dumps(arguments)


def test_a_refusal_names_the_fields_and_not_their_values() -> None:
    with pytest.raises(InvalidInput) as refused:
        LaunchInput.read({"org_id": "secret", "multi_run_id": "mr-1", "index": -1})

    assert "org_id: " in str(refused.value)
    assert "index: " in str(refused.value)
    assert "task_token: " in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("index", [-1, 3, 10**9, True, "0", 1.0, None])
def test_only_a_candidate_of_the_multi_run_is_launched(upstream: Runs, fake: FakeCodegen, index: Any) -> None:
    multi_run_id = create({"prompt": "Say hello.", "concurrency": 3}).json["id"]
    task("plan", multi_run_id)

    with pytest.raises(InvalidInput):
        task("launch", multi_run_id, index=index, task_token="token")

    upstream.follow(1)
    assert fake.creates == []
    assert current().runs.unlaunched(ORG, 10) == []


@pytest.mark.full
@pytest.mark.parametrize("number", [-1, 0, 7, "1"])
def test_only_a_judge_of_the_multi_run_is_asked(upstream: Runs, fake: FakeCodegen, number: Any) -> None:
    multi_run_id = create({"prompt": "Say hello.", "concurrency": 3}).json["id"]
    upstream.launch(multi_run_id)
    before = len(fake.creates)

    with pytest.raises(InvalidInput):
        task("ask", multi_run_id, judge_run=number, task_token="token")

    upstream.follow(1)
    assert len(fake.creates) == before


def test_an_odd_error_of_a_state_does_not_keep_a_multi_run_open(upstream: Runs) -> None:
    multi_run_id = create({"prompt": "Say hello.", "concurrency": 3}).json["id"]
    task("plan", multi_run_id)

    task("publish", multi_run_id, error={"Error": "States.Runtime"})

    found = current().multi_runs.get(ORG, multi_run_id)
    assert found
    assert found.status == "failed"
    assert found.reason
    assert found.reason.startswith("States.Runtime: ")
