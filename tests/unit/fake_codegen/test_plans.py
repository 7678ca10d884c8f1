"""How scripts and plans change what a run does."""

from itertools import pairwise

import pytest

from local.fake_codegen import DEMO_ORG_ID, Entry, FakeCodegen, ManualClock, Plan, Script

RUNS = f"/v1/organizations/{DEMO_ORG_ID}/agent/run"


def create(client, prompt="Explain the cart", **fields):
    answer = client.post(RUNS, json={"prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def get(client, run_id):
    return client.get(f"{RUNS}/{run_id}").json()


def logs(client, run_id):
    return client.get(f"/v1/alpha{RUNS[3:]}/{run_id}/logs").json()["logs"]


def logs_over_time(client, fake, run_id, seconds=14.0, step=0.25):
    """Return the logs at each step of the clock."""
    seen = []
    for _ in range(int(seconds / step)):
        seen.append(logs(client, run_id))
        fake.clock.advance(step)
    return seen


@pytest.fixture
def fake():
    return FakeCodegen(clock=ManualClock(), limits={})


# Endings


@pytest.mark.parametrize("word", ["FAILED", "ERROR", "TIMEOUT", "MAX_ITERATIONS_REACHED", "OUT_OF_TOKENS", "BORED"])
def test_a_run_can_fail_with_any_status(client, fake, word):
    run_id = create(client, metadata={"fake": {"ending": word, "seconds": 3}})
    fake.clock.advance(3)

    run = get(client, run_id)
    assert (run["status"], run["result"], run["summary"]) == (word, None, None)
    assert logs(client, run_id)[-1]["message_type"] == "ERROR"


def test_a_run_can_stay_active_forever(client, fake):
    run_id = create(client, "Wait [[fake ending=NEVER]]")
    fake.clock.advance(365 * 86_400)

    assert get(client, run_id)["status"] == "ACTIVE"
    assert logs(client, run_id)[-1]["message_type"] != "FINAL_ANSWER"


def test_a_run_can_pass_through_an_unknown_status(client, fake):
    run_id = create(client, metadata={"fake": {"via": "QUANTUM_REVIEW", "seconds": 10}})
    seen = []
    for _ in range(3):
        seen.append(get(client, run_id)["status"])
        fake.clock.advance(5)

    assert seen == ["ACTIVE", "QUANTUM_REVIEW", "COMPLETE"]


@pytest.mark.parametrize("result", ["", "Forty-two."])
def test_a_run_can_have_a_scripted_result_even_an_empty_one(client, fake, result):
    run_id = create(client, metadata={"fake": {"result": result}})
    fake.clock.advance(12)

    assert get(client, run_id)["result"] == result


def test_the_pace_multiplies_the_duration_of_every_run(client, fake):
    fake.pace = 10
    run_id = create(client)
    fake.clock.advance(79)
    assert get(client, run_id)["status"] == "ACTIVE"
    fake.clock.advance(41)
    assert get(client, run_id)["status"] == "COMPLETE"


@pytest.mark.parametrize(
    ("prompt", "at_least", "at_most"),
    [("Explain the cart", 8, 12), ("Join these.\n### Candidate A\none\n### Candidate B\ntwo", 4, 6)],
    ids=["task", "synthesis"],
)
def test_a_turn_takes_the_stated_time(fake, prompt, at_least, at_most):
    organization = fake.organizations[DEMO_ORG_ID]
    runs = [fake.start(organization, prompt, user_id=1) for _ in range(50)]
    lasts = [run.turns[0].plan.ends_at for run in runs]

    assert at_least <= min(lasts) < max(lasts) <= at_most


def test_most_tasks_that_change_code_open_a_pull_request_and_no_other_runs(fake):
    def opened(prompt: str) -> int:
        runs = [fake.start(fake.organizations[DEMO_ORG_ID], prompt, user_id=1) for _ in range(50)]
        fake.clock.advance(12)
        return sum(bool(run.response(fake.clock.now()).github_pull_requests) for run in runs)

    assert 25 < opened("Fix the cart") < 50
    assert opened("Explain the cart") == 0
    assert opened("Fix these.\n### Candidate A\none\n### Candidate B\ntwo") == 0


def test_a_run_that_fails_opens_no_pull_request(client, fake):
    run_id = create(client, "Fix the cart", metadata={"fake": {"ending": "FAILED", "pull_request": True}})
    fake.clock.advance(12)

    assert get(client, run_id)["github_pull_requests"] == []
    assert "create_pr" not in [entry["tool_name"] for entry in logs(client, run_id)]


# Logs


@pytest.mark.parametrize(
    ("agent_type", "tools"),
    [
        ("codegen", {"ripgrep_search", "view_file", "edit_file", "run_command", "create_pr"}),
        ("claude_code", {"Bash", "Read", "Edit", "create_pr"}),
    ],
)
def test_the_log_has_the_tools_of_the_agent_type_and_ends_with_the_pull_request(client, fake, agent_type, tools):
    run_id = create(client, agent_type=agent_type, metadata={"fake": {"steps": 5, "pull_request": True}})
    fake.clock.advance(12)

    used = [entry["tool_name"] for entry in logs(client, run_id) if entry["message_type"] == "ACTION"]
    assert set(used) == tools
    assert used[-1] == "create_pr"


@pytest.mark.parametrize("how", ["late", "very_late"])
def test_a_late_log_is_complete_in_the_end(how):
    def final(script: Script) -> list[object]:
        fake = FakeCodegen(clock=ManualClock())
        run = fake.start(fake.organizations[DEMO_ORG_ID], "Explain the cart", user_id=1, script=script)
        fake.clock.advance(60)
        return run.logs(fake.clock.now())

    assert final(Script(logs=how)) == final(Script())


def test_a_steady_log_only_grows(client, fake):
    seen = logs_over_time(client, fake, create(client))

    assert all(after[: len(before)] == before for before, after in pairwise(seen))
    assert len({len(entries) for entries in seen}) > 3


@pytest.mark.parametrize(("how", "followed"), [("late", False), ("very_late", True)])
def test_late_outputs_arrive_before_or_after_the_next_entry(client, fake, how, followed):
    seen = logs_over_time(client, fake, create(client, metadata={"fake": {"logs": how, "steps": 6}}))
    position = next(place for place, entry in enumerate(seen[-1]) if entry["message_type"] == "ACTION")
    waiting = [entries for entries in seen if len(entries) > position and entries[position]["tool_output"] is None]

    assert waiting
    assert seen[-1][position]["tool_output"] is not None
    assert seen[-1][position] == {**waiting[0][position], "tool_output": seen[-1][position]["tool_output"]}
    assert any(len(entries) > position + 1 for entries in waiting) == followed


def test_a_rewritten_log_changes_its_first_half_and_keeps_its_length(client, fake):
    seen = logs_over_time(client, fake, create(client, metadata={"fake": {"logs": "rewritten"}}))
    changes = [(before, after) for before, after in pairwise(seen) if after[: len(before)] != before]

    [(before, after)] = changes
    assert len(after) >= len(before)
    changed = [place for place, entry in enumerate(before) if after[place] != entry]
    assert changed == list(range((len(seen[-1]) - 1) // 2)), "half of the entries before the answer"
    assert [entry["created_at"] for entry in after[: len(before)]] == [entry["created_at"] for entry in before]


def test_a_shrunk_log_loses_its_last_entries_and_continues(client, fake):
    seen = logs_over_time(client, fake, create(client, metadata={"fake": {"logs": "shrunk", "steps": 10}}))
    lengths = [len(entries) for entries in seen]
    [drop] = [place for place, (before, after) in enumerate(pairwise(lengths)) if after < before]

    assert lengths[drop] - lengths[drop + 1] in (1, 2)
    assert seen[drop + 1] == seen[drop][: lengths[drop + 1]]
    assert lengths[-1] > lengths[drop]


# Sources of scripts


def test_a_marker_in_a_prompt_scripts_the_run_and_leaves_no_trace_in_its_answer(client, fake):
    run_id = create(client, 'Explain the cart [[fake seconds=2 result="I do not know"]]')
    other_id = create(client, "[[fake seconds=2]] Explain the cart")
    fake.clock.advance(2)

    assert get(client, run_id)["result"] == "I do not know"
    assert get(client, other_id)["status"] == "COMPLETE"
    assert "[[" not in get(client, other_id)["result"]
    assert logs(client, other_id)[0]["tool_input"]["message"] == "[[fake seconds=2]] Explain the cart"


def test_a_marker_with_nth_alone_applies_to_one_run(client, fake):
    prompt = "Explain the cart [[fake ending=FAILED nth=2]]"
    run_ids = [create(client, prompt) for _ in range(4)]
    fake.clock.advance(12)

    assert [get(client, run_id)["status"] for run_id in run_ids] == ["COMPLETE", "FAILED", "COMPLETE", "COMPLETE"]


def test_a_marker_with_nth_and_of_applies_to_one_run_of_each_group(client, fake):
    prompt = "Explain the cart [[fake ending=FAILED nth=2 of=3]]"
    run_ids = [create(client, prompt) for _ in range(6)]
    fake.clock.advance(12)

    statuses = [get(client, run_id)["status"] for run_id in run_ids]
    assert statuses == ["COMPLETE", "FAILED", "COMPLETE"] * 2


def test_only_the_marker_for_a_synthesis_applies_to_a_synthesis(client, fake):
    task = "Explain the cart [[fake ending=FAILED]]"
    candidates = '<candidate id="A">one</candidate><candidate id="B">two</candidate>'
    joined = create(client, f"Join these.\n{task}\n{candidates}")
    broken = create(client, f"Join these.\n{task} [[fake-synthesis ending=ERROR]]\n{candidates}")
    fake.clock.advance(12)

    assert get(client, joined)["status"] == "COMPLETE"
    assert get(client, broken)["status"] == "ERROR"


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x [[fake ending=FAILED colour=red]]"},
        {"prompt": "x [[fake seconds=soon]]"},
        {"prompt": "x", "metadata": {"fake": {"logs": "odd"}}},
    ],
)
def test_an_invalid_script_is_refused_and_has_no_effect(client, fake, body):
    answer = client.post(RUNS, json=body)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", "fake"]
    assert fake.creates == []


def test_metadata_under_fake_that_is_not_an_object_is_plain_metadata(client):
    assert create(client, metadata={"fake": "news"})


def test_the_next_runs_follow_a_queued_script(client, fake):
    fake.script(Script(ending="FAILED"), times=2)
    run_ids = [create(client) for _ in range(3)]
    fake.clock.advance(12)

    assert [get(client, run_id)["status"] for run_id in run_ids] == ["FAILED", "FAILED", "COMPLETE"]


def test_a_runs_own_script_takes_precedence_and_leaves_the_queue_unchanged(client, fake):
    fake.script(Script(ending="FAILED"))
    own = create(client, metadata={"fake": {"ending": "TIMEOUT"}})
    following, last = create(client), create(client)
    fake.clock.advance(12)

    statuses = [get(client, run_id)["status"] for run_id in (own, following, last)]
    assert statuses == ["TIMEOUT", "FAILED", "COMPLETE"]


def test_a_run_can_follow_a_plan_of_a_test(client, fake):
    run_id = create(client)
    fake.set_plan(
        run_id,
        Plan(
            entries=(Entry(0, {"thought": "a"}, until=5), Entry(5, {"thought": "b"}), Entry(9, {"thought": "c"})),
            statuses=((4, "EVALUATION"),),
            ends_at=10,
            ending="COMPLETE",
            result=None,
        ),
    )
    fake.clock.advance(5)
    assert get(client, run_id)["status"] == "EVALUATION"
    assert [entry["thought"] for entry in logs(client, run_id)] == ["b"]
    fake.clock.advance(5)
    assert (get(client, run_id)["status"], get(client, run_id)["result"]) == ("COMPLETE", None)


def test_a_test_can_end_a_run_at_once(client, fake):
    good, bad, planned = create(client), create(client), create(client)
    fake.clock.advance(3)
    fake.finish(good, result="Done.")
    fake.finish(bad, "FAILED")
    fake.finish(planned)

    assert (get(client, good)["status"], get(client, good)["result"]) == ("COMPLETE", "Done.")
    assert logs(client, good)[-1]["observation"] == "Done."
    assert (get(client, bad)["status"], get(client, bad)["result"]) == ("FAILED", None)
    assert get(client, planned)["result"].startswith("## Explain the cart")
    assert get(client, planned)["summary"]


def test_the_same_run_is_the_same_in_every_fake_with_the_same_clock():
    def story():
        fake = FakeCodegen(clock=ManualClock())
        organization = fake.organizations[DEMO_ORG_ID]
        run = fake.start(organization, "Fix the cart", user_id=1)
        fake.clock.advance(12)
        return run.response(fake.clock.now()), run.logs(fake.clock.now())

    assert story() == story()


def test_a_new_plan_opens_its_pull_request_and_restarts_a_stopped_run(client, fake):
    run_id = create(client)
    client.post(f"{RUNS}/ban", json={"agent_run_id": run_id})

    fake.set_plan(run_id, Script(pull_request=True, seconds=2))
    fake.clock.advance(2)

    run = get(client, run_id)
    assert (run["status"], len(run["github_pull_requests"])) == ("COMPLETE", 1)
