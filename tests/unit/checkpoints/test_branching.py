"""Restore and fork through the handlers: what the new run receives, and what does not change."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from codegen_api import CodegenAPI
from codegen_runs.agents import profiles
from codegen_runs.agents.agent import CreateAgent, UpdateAgent
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import RunsTable
from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, FakeCodegen, Script, Trouble
from local.template import Template
from tests.support.events import current
from tests.unit.checkpoints.conftest import ADA, ORG, Act, Run

Checkpoints = Callable[[int | str], dict[str, str]]


@pytest.fixture
def branch(act: Act) -> Callable[..., Any]:
    """Restore or fork a checkpoint, and check the status of the answer."""

    def branch(verb: str, checkpoint_id: str, body: Any = None, *, status: int = 201) -> Any:
        answer = act(verb, "POST", f"{ORG}/checkpoints/{checkpoint_id}/{verb}", body)
        assert answer.status == status, answer.text
        return answer

    return branch


@pytest.fixture
def last_prompt(fake: FakeCodegen) -> Callable[[], str]:
    """Return the last prompt that the newest run received upstream."""
    return lambda: str(max(fake.runs.values(), key=lambda run: run.id).turns[-1].prompt)


def rows(template: Template) -> dict[str, str]:
    """Return a hash of every row of every table, by its place, without the rate limits' buckets and the audit trail."""
    client = boto3.client("dynamodb")
    found = {}
    for table in template.tables.values():
        for item in client.scan(TableName=table.name)["Items"]:
            place = f"{table.name} {item['pk']['S']} {item.get('sk', {}).get('S')}"
            if "bucket#" not in place and table.name != "AuditTable":
                found[place] = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()
    return found


def test_a_fork_or_a_restore_in_a_new_run_changes_no_existing_row(
    deployed: Template, run: Run, checkpoints: Checkpoints, branch: Any
) -> None:
    run_id = run()
    before = rows(deployed)
    for verb, reason in (("fork", "start"), ("fork", "end"), ("restore", "plan"), ("fork", "end")):
        branch(verb, checkpoints(run_id)[reason], {"modifications": {"modified_query": "Do it otherwise."}})
    after = rows(deployed)

    assert {place: after.get(place) for place in before} == before
    assert {place for place in before if f"run#{DEMO_ORG_ID}#{run_id} " in place}
    assert not {place for place in after.keys() - before.keys() if f" run#{DEMO_ORG_ID}#{run_id} " in place}


def test_a_fork_is_a_new_run_whose_metadata_names_its_origin(
    run: Run, checkpoints: Checkpoints, branch: Any, codegen: CodegenAPI
) -> None:
    run_id = run(repo_id=DEMO_REPO_ID, model="claude-opus")
    end = checkpoints(run_id)["end"]
    forked = branch("fork", end, {"modifications": {"system_prompt": "Be brief."}})
    child = forked.json["agent_run_id"]

    assert child != run_id
    assert forked.headers["location"] == f"{ORG}/agent/run/{child}"
    assert forked.json["fidelity"] == "context_replay"
    assert (forked.json["action"], forked.json["created_new_run"]) == ("fork", True)
    assert forked.json["status"] == "running"
    assert forked.json["warnings"] == []
    (lineage,) = forked.json["lineage"]
    assert (lineage["checkpoint_id"], lineage["child"], lineage["modified"]) == (end, str(child), ["system_prompt"])
    metadata = codegen.runs.get(child, org_id=DEMO_ORG_ID).metadata
    assert metadata == {
        "client_run_id": lineage["client_run_id"],
        "parent_agent_run_id": run_id,
        "checkpoint_action": "fork",
        "checkpoint_id": end,
    }


def test_a_fork_has_the_repository_and_the_model_of_its_parent_unless_another_is_given(
    run: Run, checkpoints: Checkpoints, branch: Any, runs: RunsTable
) -> None:
    end = checkpoints(run(repo_id=DEMO_REPO_ID, model="claude-opus"))["end"]
    settings = []
    for changes in ({}, {"model": "gpt-5"}):
        child = runs.find(DEMO_ORG_ID, branch("fork", end, {"modifications": changes}).json["agent_run_id"])
        assert child is not None
        settings.append((child.repo_id, child.model))

    assert settings == [(DEMO_REPO_ID, "claude-opus"), (DEMO_REPO_ID, "gpt-5")]


def test_a_restored_run_receives_the_conversation_and_the_new_query(
    run: Run, checkpoints: Checkpoints, branch: Any, last_prompt: Any
) -> None:
    end = checkpoints(run())["end"]
    restored = branch("restore", end, {"create_new_run": True, "modifications": {"modified_query": "New query"}})
    prompt = last_prompt()

    assert prompt.endswith("Your task:\n\nNew query")
    assert prompt.index("Fix the bug.") < prompt.index("The bug is fixed.") < prompt.index("New query")
    assert restored.json["replayed"] == {"messages": 2, "left_out": 0}


def test_at_the_start_of_a_run_the_new_query_replaces_the_old_one(
    run: Run, checkpoints: Checkpoints, branch: Any, last_prompt: Any
) -> None:
    branch("restore", checkpoints(run())["start"], {"modifications": {"modified_query": "New query"}})

    assert last_prompt() == "New query"


def test_without_a_new_query_the_last_one_is_sent_again(
    run: Run, checkpoints: Checkpoints, branch: Any, last_prompt: Any, act: Act
) -> None:
    made = checkpoints(run())
    branch("restore", made["start"])
    assert last_prompt() == "Fix the bug."
    branch("fork", made["end"])
    assert last_prompt().endswith("Your task:\n\nFix the bug.")


def test_a_system_prompt_comes_first_and_is_inherited_by_forks_of_the_fork(
    run: Run, checkpoints: Checkpoints, branch: Any, last_prompt: Any, poll: Any
) -> None:
    forked = branch("fork", checkpoints(run())["end"], {"modifications": {"system_prompt": "Answer in French."}})
    assert last_prompt().startswith("# Instructions\n\nAnswer in French.\n\n# Task\n\n")
    poll(60)
    branch("fork", checkpoints(forked.json["agent_run_id"])["end"])

    assert last_prompt().startswith("# Instructions\n\nAnswer in French.\n\n# Task\n\n")


def test_a_fork_of_a_fork_receives_both_conversations_with_each_message_once(
    run: Run, checkpoints: Checkpoints, branch: Any, last_prompt: Any, poll: Any, act: Act, fake: FakeCodegen
) -> None:
    parent = checkpoints(run())["end"]
    fake.script(Script(seconds=2, result="Tested."))
    first = branch("fork", parent, {"modifications": {"modified_query": "Test it."}})
    poll(60)
    end = checkpoints(first.json["agent_run_id"])["end"]
    chain = act("get", "GET", f"{ORG}/checkpoints/{end}").json["chain"]
    second = branch("fork", end, {"modifications": {"modified_query": "Document it."}})

    assert [message["text"] for message in chain] == ["Fix the bug.", "The bug is fixed.", "Test it.", "Tested."]
    assert [last_prompt().count(text) for text in ("Fix the bug.", "Test it.", "Document it.")] == [1, 1, 1]
    assert [each["depth"] for each in second.json["lineage"]] == [1, 2]
    assert second.json["lineage"][1]["checkpoint_id"] == first.json["checkpoint_id"]


def test_the_lineage_has_ancestors_and_descendants(
    run: Run, checkpoints: Checkpoints, branch: Any, poll: Any, act: Act
) -> None:
    root = run()
    made = checkpoints(root)
    branch("fork", made["start"])
    child = branch("restore", made["end"]).json["agent_run_id"]
    poll(60)
    grandchild = branch("fork", checkpoints(child)["end"]).json["agent_run_id"]
    of_root = act("lineage", "GET", f"{ORG}/checkpoints/{made['end']}/lineage").json
    of_child = act("lineage", "GET", f"{ORG}/checkpoints/{checkpoints(child)['end']}/lineage").json

    assert [(each["child"], each["depth"], each["action"]) for each in of_root["descendants"]] == [
        (str(child), 1, "restore"), (str(grandchild), 2, "fork")
    ]  # fmt: skip
    assert [each["reason"] for each in of_root["earlier"]] == ["plan", "start"]
    assert of_root["ancestors"] == []
    assert [each["checkpoint_id"] for each in of_child["ancestors"]] == [made["end"]]
    assert [each["child"] for each in of_child["descendants"]] == [str(grandchild)]
    assert of_root["fidelity"] == "context_replay"


def test_a_fork_receives_the_pull_request_of_its_parent(
    run: Run, checkpoints: Checkpoints, branch: Any, last_prompt: Any, codegen: CodegenAPI
) -> None:
    run_id = run(script=Script(seconds=4, pull_request=True))
    (pull_request,) = codegen.runs.get(run_id, org_id=DEMO_ORG_ID).github_pull_requests or []
    branch("fork", checkpoints(run_id)["end"])

    assert str(pull_request.url) in last_prompt()
    assert str(pull_request.head_branch_name) in last_prompt()


def test_the_same_run_is_instructed_to_go_back_and_continues(
    run: Run, checkpoints: Checkpoints, branch: Any, fake: FakeCodegen, runs: RunsTable
) -> None:
    run_id = run()
    start = checkpoints(run_id)["start"]
    creates = len(fake.creates)
    body = {"create_new_run": False, "modifications": {"modified_query": "Do it otherwise."}}
    restored = branch("restore", checkpoints(run_id)["end"], body, status=200)
    watch = runs.find(DEMO_ORG_ID, run_id)

    assert (restored.json["agent_run_id"], restored.json["created_new_run"]) == (run_id, False)
    assert restored.headers["location"] == f"{ORG}/agent/run/{run_id}"
    assert len(fake.creates) == creates
    assert watch is not None
    assert [prompt.text for prompt in watch.prompts] == ["Fix the bug.", "Do it otherwise."]
    assert watch.prompts[-1].source == {"checkpoint_id": checkpoints(run_id)["end"]}
    assert "take what came after it as not said" in fake.runs[run_id].turns[-1].prompt
    assert start in checkpoints(run_id).values()


def test_the_same_run_cannot_go_back_while_it_is_paused(
    run: Run, checkpoints: Checkpoints, branch: Any, act: Act
) -> None:
    run_id = run(script=Script(ending="NEVER"), seconds=5)
    assert act("agent_runs/pause", "POST", f"{ORG}/agent/run/{run_id}/pause").status == 200
    refused = branch("restore", checkpoints(run_id)["start"], {"create_new_run": False}, status=409)

    assert refused.json["code"] == "follow_up_held"
    assert "paused" in refused.json["detail"]


def test_a_run_can_be_forked_while_it_works_with_a_warning(
    run: Run, checkpoints: Checkpoints, branch: Any, runs: RunsTable
) -> None:
    run_id = run(script=Script(ending="NEVER"), seconds=5)
    forked = branch("fork", checkpoints(run_id)["start"])
    watch = runs.find(DEMO_ORG_ID, run_id)

    assert [warning["code"] for warning in forked.json["warnings"]] == ["run_goes_on"]
    assert watch is not None
    assert watch.status is Status.RUNNING


@pytest.mark.parametrize("verb", ["restore", "fork"])
def test_a_queued_run_cannot_be_restored_or_forked(
    run: Run, checkpoints: Checkpoints, branch: Any, runs: RunsTable, fake: FakeCodegen, verb: str
) -> None:
    run_id = run(script=Script(ending="NEVER"), seconds=5)
    watch = runs.find(DEMO_ORG_ID, run_id)
    assert watch is not None
    runs.write(watch.model_copy(update={"status": Status.QUEUED}))
    creates = len(fake.creates)
    refused = branch(verb, checkpoints(run_id)["start"], status=409)

    assert refused.json["code"] == "run_not_started"
    assert "queued" in refused.json["detail"]
    assert len(fake.creates) == creates


def test_a_run_with_unknown_prompts_cannot_be_replayed_without_a_query(
    act: Act, branch: Any, codegen: CodegenAPI, last_prompt: Any
) -> None:
    run_id = codegen.runs.create("Say hello.", org_id=DEMO_ORG_ID).id
    made = act("create", "POST", f"{ORG}/agent/run/{run_id}/checkpoints").json["id"]

    assert branch("fork", made, status=409).json["code"] == "nothing_to_replay"
    branch("fork", made, {"modifications": {"modified_query": "Say goodbye."}})
    assert last_prompt() == "Say goodbye."


WRONG: list[tuple[Any, str]] = [
    ({"modifications": "be brief"}, "/body/modifications"),
    ({"modifications": ["be brief"]}, "/body/modifications"),
    ({"modifications": {"modified_query": 5}}, "/body/modifications/modified_query"),
    ({"modifications": {"modified_query": "  "}}, "/body/modifications/modified_query"),
    ({"modifications": {"system_prompt": {"text": "Be brief."}}}, "/body/modifications/system_prompt"),
    ({"modifications": {"system_prompt": "x" * 20_001}}, "/body/modifications/system_prompt"),
    ({"modifications": {"model": ["gpt-5"]}}, "/body/modifications/model"),
]


def test_invalid_modifications_are_refused_before_a_run_is_started(
    run: Run, checkpoints: Checkpoints, branch: Any, fake: FakeCodegen
) -> None:
    end = checkpoints(run())["end"]
    creates = len(fake.creates)
    for verb in ("restore", "fork"):
        for body, pointer in WRONG:
            assert branch(verb, end, body, status=422).json["errors"][0]["pointer"] == pointer
    for create_new_run in ("yes", 1, "false"):
        refused = branch("restore", end, {"create_new_run": create_new_run}, status=422)
        assert refused.json["errors"][0]["pointer"] == "/body/create_new_run"

    assert len(fake.creates) == creates


def test_unknown_modifications_are_ignored_with_a_warning(run: Run, checkpoints: Checkpoints, branch: Any) -> None:
    body = {"reason": "why not", "modifications": {"temperature": 0.5, "modified_messages": []}}
    forked = branch("fork", checkpoints(run())["end"], body)

    assert [warning["pointer"] for warning in forked.json["warnings"]] == [
        "/reason", "/modifications/temperature", "/modifications/modified_messages"
    ]  # fmt: skip


def test_an_unknown_model_is_passed_on_with_a_warning(run: Run, checkpoints: Checkpoints, branch: Any) -> None:
    forked = branch("fork", checkpoints(run())["end"], {"modifications": {"model": "gpt-99"}})

    assert [(each["code"], each["pointer"]) for each in forked.json["warnings"]] == [
        ("unknown_model", "/modifications/model")
    ]


def test_a_fork_that_the_upstream_refuses_leaves_no_trace(
    run: Run, checkpoints: Checkpoints, branch: Any, fake: FakeCodegen, act: Act, deployed: Template
) -> None:
    end = checkpoints(run())["end"]
    before = rows(deployed)
    fake.trouble("create_agent_run", Trouble("error", status=402, message="Upgrade your plan."))
    branch("fork", end, status=402)

    assert rows(deployed) == before
    assert act("lineage", "GET", f"{ORG}/checkpoints/{end}/lineage").json["descendants"] == []


def test_a_fork_whose_answer_was_lost_can_be_found_by_its_client_run_id(
    run: Run, checkpoints: Checkpoints, branch: Any, fake: FakeCodegen, act: Act, codegen: CodegenAPI
) -> None:
    end = checkpoints(run())["end"]
    fake.trouble("create_agent_run", Trouble("lost_answer"))
    branch("fork", end, status=502)
    (descendant,) = act("lineage", "GET", f"{ORG}/checkpoints/{end}/lineage").json["descendants"]

    assert descendant["child"] is None
    found = [
        each for each in codegen.runs.list(org_id=DEMO_ORG_ID).items
        if (each.metadata or {}).get("client_run_id") == descendant["client_run_id"]
    ]  # fmt: skip
    assert len(found) == 1


def test_api_checkpoints_paths_act_in_the_default_organization(run: Run, checkpoints: Checkpoints, act: Act) -> None:
    end = checkpoints(run())["end"]
    restored = act("restore", "POST", f"/api/checkpoints/{end}/restore", {"create_new_run": True})
    forked = act("fork", "POST", f"/api/checkpoints/{end}/fork", {"modifications": {"system_prompt": "New prompt"}})

    assert (restored.status, forked.status) == (201, 201)
    assert restored.json["agent_run_id"] != forked.json["agent_run_id"]


def test_a_fork_of_an_agents_run_receives_the_instructions_of_the_agents_version(
    run: Run, checkpoints: Checkpoints, branch: Any, last_prompt: Any, act: Act, codegen: CodegenAPI
) -> None:
    agent = CreateAgent(id="reviewer", name="Reviewer", system_prompt="You review code.", configuration={"depth": 2})
    profiles.create(agent, org_id=DEMO_ORG_ID, caller=ADA, backend=current())
    end = checkpoints(run(agent_id="reviewer"))["end"]
    profiles.update(
        "reviewer", UpdateAgent(system_prompt="You write poems."), org_id=DEMO_ORG_ID, caller=ADA, backend=current()
    )
    forked = branch("fork", end, {"modifications": {"modified_query": "Look again."}}).json["agent_run_id"]

    assert act("get", "GET", f"{ORG}/checkpoints/{end}").json["agent"] == {"id": "reviewer", "version": 1}
    assert last_prompt().startswith("# Instructions\n\nYou review code.\n\n# Configuration\n\n")
    metadata = codegen.runs.get(forked, org_id=DEMO_ORG_ID).metadata or {}
    assert (metadata["agent_id"], metadata["agent_version"]) == ("reviewer", 1)
    branch("fork", end, {"modifications": {"system_prompt": "Be brief."}})
    assert last_prompt().startswith("# Instructions\n\nBe brief.\n\n# Configuration\n\n")


def test_an_agent_that_no_longer_exists_is_left_out_with_a_warning(
    run: Run, checkpoints: Checkpoints, branch: Any, deployed: Template
) -> None:
    profiles.create(CreateAgent(id="reviewer", name="Reviewer"), org_id=DEMO_ORG_ID, caller=ADA, backend=current())
    end = checkpoints(run(agent_id="reviewer"))["end"]
    client, table = boto3.client("dynamodb"), deployed.tables["AgentsTable"].name
    for item in client.scan(TableName=table)["Items"]:
        client.delete_item(TableName=table, Key={name: item[name] for name in ("pk", "sk")})

    assert [each["code"] for each in branch("fork", end).json["warnings"]] == ["agent_unknown"]
