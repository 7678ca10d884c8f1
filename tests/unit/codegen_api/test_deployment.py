"""The operations that only a deployment has: their requests and results."""

import hashlib
import json
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

import codegen_api
from codegen_api import AgentType, ConflictError, NotFoundError, RetryPolicy, RunStatus, ServerError, TaskStatus
from tests.support.lists import items_of

HEALTH = {"service": "codegen-runs", "status": "healthy"}
PROFILE = {
    "id": "reviewer",
    "version": 1,
    "name": "Code Reviewer",
    "type": "code_review",
    "description": "Reviews",
    "configuration": {"focus": "security"},
    "tags": ["review"],
    "created_at": "2025-06-21T11:20:04Z",
}
CARD = {
    "id": 7,
    "status": "running",
    "prompt": "Do it",
    "created_at": "2025-06-21T11:20:04Z",
    "updated_at": "2025-06-21T11:21:04Z",
    "web_url": "https://codegen.example/7",
    "result": None,
    "pull_requests": [{"id": 1, "title": "It", "url": None, "branch_name": "it", "created_at": None}],
}


@pytest.fixture(autouse=True)
def _deployment(wire):
    wire.answers(200, HEALTH)


def sent(request):
    body = json.loads(request.content) if request.content else None
    return request.method, request.url.path, body


def test_a_client_and_its_views_check_once_which_server_they_have(client, wire, run):
    wire.answers(200, run).answers(200, run)

    def script(api):
        yield api.run_task("Do it")
        yield api.with_deadline(9).run_task("Do it")

    client.play(script)
    assert [request.url.path for request in wire.requests].count("/health") == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404},
        {"status": 401},
        {"status": 302},
        {"content": b"<html>welcome</html>"},
        {"body": {"status": "healthy"}},
        {"body": ["codegen-runs"]},
    ],
)
def test_any_other_health_response_means_the_codegen_api(client, wire, answer):
    wire._script.clear()
    wire.answers(**answer)

    def script(api):
        with pytest.raises(codegen_api.NotSupportedError):
            yield api.agents.list_agents()

    client.play(script)


def test_the_check_is_repeated_after_a_server_error(client, wire):
    wire._script.clear()
    for _ in range(4):
        wire.answers(503, {})
    wire.answers(200, HEALTH).answers(200, {"items": [], "has_more": False})

    def script(api):
        with pytest.raises(ServerError):
            yield api.agents.list_agents()
        assert (yield api.agents.list_agents()) == []

    client.play(script)


def test_all_attempts_of_a_start_have_the_same_idempotency_key(client, wire, run):
    wire.fails(httpx.ReadTimeout).answers(500, {}).answers(409, {"code": "busy"}, headers={"retry-after": "2"})
    wire.answers(200, run).answers(200, run)

    def script(api):
        yield api.run_task("Do it")
        yield api.run_task("Do it")

    client.play(script)
    *first, second = [request.headers["idempotency-key"] for request in wire.requests[1:]]
    assert len(first) == 4
    assert len(set(first)) == 1
    assert second not in first


def test_a_start_without_any_response_may_have_taken_effect(client, wire):
    for _ in range(4):
        wire.fails(httpx.ReadTimeout)

    def script(api):
        with pytest.raises(codegen_api.APITimeoutError) as caught:
            yield api.run_task("Do it")
        assert caught.value.effect_unknown

    client.play(script)


def test_the_callers_idempotency_key_is_sent(client, wire, run):
    wire.answers(200, run)

    def script(api):
        yield api.run_task("Do it", idempotency_key="mine")

    client.play(script)
    assert wire.requests[-1].headers["idempotency-key"] == "mine"


def test_a_task_on_a_deployment_has_the_data_of_its_run_card(client, wire, run):
    wire.answers(200, run).answers(200, CARD).answers(
        200, CARD | {"status": "timed_out", "status_reason": "It took too long.", "result": "Half of it."}
    )

    def script(api):
        task = yield api.run_task("Do it, and all of it")
        yield task.refresh()
        assert (task.prompt, task.status) == ("Do it, and all of it", TaskStatus.RUNNING)
        assert task.updated_at == datetime(2025, 6, 21, 11, 21, 4, tzinfo=UTC)
        assert task.pull_requests[0].head_branch_name == "it"
        yield task.wait_for_completion()
        assert (task.status, task.error, task.result) == (RunStatus.TIMED_OUT, "It took too long.", "Half of it.")

    client.play(script)
    assert wire.requests[-1].url.path == "/v1/organizations/42/run-cards/7"


@pytest.mark.parametrize("word", ["queued", "launching"])
def test_a_task_that_waits_to_start_is_pending(client, wire, word):
    wire.answers(200, CARD | {"status": word})

    def script(api):
        task = yield api.get_task(7)
        assert (task.status, task.progress) == (word, 0)

    client.play(script)


def test_a_cancel_sends_the_consent_and_the_reason(client, wire):
    wire.answers(200, CARD).answers(200, CARD).answers(202, CARD | {"status": "cancelling"})
    wire.answers(200, CARD | {"status": "cancelled"})

    def script(api):
        task = yield api.get_task(7)
        yield task.cancel(allow_pr_ban=True, reason="No need.")
        assert task.status is TaskStatus.CANCELLED

    client.play(script)
    method, path, body = sent(wire.requests[3])
    assert (method, path) == ("POST", "/v1/organizations/42/agent/run/7/cancel")
    assert body == {"allow_pr_ban": True, "reason": "No need."}
    assert wire.requests[3].headers["idempotency-key"]


def test_a_refused_cancel_raises_an_error_unless_the_task_has_ended_meanwhile(client, wire):
    refusal = {"message": "The run is running.", "code": "cancel_needs_pr_ban"}
    wire.answers(200, CARD).answers(200, CARD).answers(409, refusal).answers(200, CARD)
    wire.answers(200, CARD).answers(409, refusal).answers(200, CARD | {"status": "completed"})

    def script(api):
        task = yield api.get_task(7)
        with pytest.raises(ConflictError, match="The run is running"):
            yield task.cancel()
        yield task.cancel()
        assert task.is_successful()

    client.play(script)


def test_agents_are_created_used_changed_and_deleted(client, wire, run):
    wire.answers(201, PROFILE).answers(200, run).answers(200, PROFILE | {"version": 2, "type": "of_tomorrow"})
    wire.answers(200, PROFILE).answers(204, content=b"")

    def script(api):
        agent = yield api.agents.create_agent(
            name="Code Reviewer",
            agent_type=AgentType.CODE_REVIEW,
            description="Reviews",
            configuration={"focus": "security"},
            agent_id="reviewer",
        )
        assert (agent.id, agent.name, agent.type) == ("reviewer", "Code Reviewer", AgentType.CODE_REVIEW)
        assert (agent.description, agent.configuration) == ("Reviews", {"focus": "security"})
        assert (agent.tags, agent.version, agent.model, agent.system_prompt) == (["review"], 1, None, None)
        task = yield agent.run_task("Review it", repo_id=456)
        assert task.prompt == "Review it"
        updated = yield api.agents.update_agent(agent.id, configuration={})
        assert (updated.version, updated.type) == (2, "of_tomorrow")
        assert (yield api.agents.get_agent("reviewer", version=1)).version == 1
        yield api.agents.delete_agent(agent.id)

    client.play(script)
    created, ran, changed, read, deleted = map(sent, wire.requests[1:])
    agents = "/v1/organizations/42/agents"
    assert created == (
        "POST",
        agents,
        {
            "id": "reviewer",
            "name": "Code Reviewer",
            "type": "code_review",
            "description": "Reviews",
            "configuration": {"focus": "security"},
        },
    )
    run_path = "/v1/organizations/42/agent/run"
    assert ran == ("POST", run_path, {"prompt": "Review it", "repo_id": 456, "agent_id": "reviewer"})
    assert changed == ("PATCH", f"{agents}/reviewer", {"configuration": {}})
    assert read[:2] == ("GET", f"{agents}/reviewer")
    assert deleted == ("DELETE", f"{agents}/reviewer", None)


def test_an_agent_has_the_fields_of_its_profile(client, wire):
    fields = {"system_prompt": "Look for races.", "model": "gpt-4", "repo_id": 456, "tags": None}
    wire.answers(200, PROFILE | fields)

    def script(api):
        agent = yield api.agents.get_agent("reviewer")
        assert (agent.system_prompt, agent.model, agent.repo_id, agent.tags) == ("Look for races.", "gpt-4", 456, [])
        assert repr(agent).endswith("Agent(id='reviewer', name='Code Reviewer')")

    client.play(script)


def test_an_agent_starts_tasks_in_its_own_organization_unless_another_is_given(client, wire, run):
    wire.answers(200, PROFILE).answers(200, run).answers(200, run)

    def script(api):
        agent = yield api.agents.get_agent("reviewer", org_id=43)
        yield agent.run_task("Review it")
        yield agent.run_task("Review it", org_id=44)

    client.play(script)
    assert [request.url.path for request in wire.requests[1:]] == [
        "/v1/organizations/43/agents/reviewer",
        "/v1/organizations/43/agent/run",
        "/v1/organizations/44/agent/run",
    ]


def test_the_response_to_a_post_is_not_cached(client, wire):
    wire.answers(200, {"agent_run_id": 7, "starred": True}, headers={"etag": '"1"'})
    wire.answers(200, {"items": [], "has_more": False})

    def script(api):
        yield api.starred_runs.star(7)
        assert (yield api.starred_runs.list()).items == []

    client.play(script)
    assert "if-none-match" not in wire.requests[-1].headers


def test_a_list_is_read_until_its_last_cursor(client, wire):
    wire.answers(200, {"items": [PROFILE], "next_cursor": "abc", "has_more": True})
    wire.answers(200, {"items": [PROFILE | {"id": "tester"}], "next_cursor": None, "has_more": False})

    def script(api):
        assert [agent.id for agent in (yield api.agents.list_agents(tag="review"))] == ["reviewer", "tester"]

    client.play(script)
    assert [dict(request.url.params) for request in wire.requests[1:]] == [
        {"tag": "review", "limit": "100"},
        {"tag": "review", "limit": "100", "cursor": "abc"},
    ]


def test_a_repeated_cursor_ends_the_list(client, wire):
    for name in ("a", "b"):
        wire.answers(200, {"items": [PROFILE | {"id": name}], "next_cursor": "abc", "has_more": True})

    def script(api):
        assert len((yield api.agents.list_agents())) == 2

    client.play(script)


@pytest.mark.parametrize("agent_id", ["", "../users", "a b", "ä"])
def test_an_id_that_could_change_the_path_is_refused(client, agent_id):
    def script(api):
        with pytest.raises(ValueError, match="not an id"):
            yield api.agents.get_agent(agent_id)

    client.play(script)


def test_a_missing_agent_raises_not_found(client, wire):
    wire.answers(404, {"message": "There is no agent nobody in this organization."})

    def script(api):
        with pytest.raises(NotFoundError, match="no agent nobody"):
            yield api.agents.get_agent("nobody")

    client.play(script)


MULTI_RUN = {"id": "mr-1", "status": "running", "prompt": "Do it", "requested": 3}


def test_a_multi_run_is_started_once_and_waited_for(client, wire):
    done = MULTI_RUN | {"status": "completed", "answer": {"text": "Done.", "source": "synthesis"}}
    wire.answers(202, MULTI_RUN).answers(200, MULTI_RUN).answers(503, {}).answers(200, done)
    looks = []

    def script(api):
        made = yield api.multi_runs.create("Do it", concurrency=3, deadline_s=600)
        ended = yield api.multi_runs.wait(made.id, on_progress=looks.append)
        assert (ended.is_complete(), ended.answer.text) == (True, "Done.")

    client.play(script, retry=RetryPolicy(max_retries=0))
    assert [look.status for look in looks] == ["running", "completed"]
    path = "/v1/organizations/42/multi-runs"
    assert sent(wire.requests[1]) == ("POST", path, {"prompt": "Do it", "concurrency": 3, "deadline_s": 600})
    assert wire.requests[1].headers["idempotency-key"]


def test_waiting_too_long_for_a_multi_run_raises_a_timeout_error(client, wire, clock):
    for _ in range(4):
        wire.answers(200, MULTI_RUN)

    def script(api):
        with pytest.raises(TimeoutError, match="mr-1 has not ended after 12 s"):
            yield api.multi_runs.wait("mr-1", timeout=12, poll_interval=5)
        assert clock.sleeps == [5.0, 5.0, 2.0]

    client.play(script)


def test_multi_runs_are_read_listed_and_cancelled(client, wire):
    wire.answers(200, MULTI_RUN).answers(200, {"items": [MULTI_RUN], "has_more": False}).answers(
        200, MULTI_RUN | {"status": "cancelled"}
    )

    def script(api):
        assert (yield api.multi_runs.get("mr-1")).requested == 3
        assert [found.id for found in (yield items_of(api.multi_runs.list()))] == ["mr-1"]
        assert (yield api.multi_runs.cancel("mr-1", allow_pr_ban=True)).status == "cancelled"

    client.play(script)
    path = "/v1/organizations/42/multi-runs/mr-1"
    assert sent(wire.requests[-1]) == ("POST", f"{path}/cancel", {"allow_pr_ban": True})


def test_a_multi_run_is_estimated_and_its_candidates_are_added_and_dropped(client, wire):
    wire.answers(200, {"runs": 6, "runs_at_least": 3, "refusals": []}).answers(201, MULTI_RUN).answers(200, MULTI_RUN)

    def script(api):
        estimate = yield api.multi_runs.estimate("Do it", variants=[{"model": "a"}], concurrency=5)
        assert (estimate.runs, estimate.runs_at_least, estimate.refusals) == (6, 3, [])
        assert (yield api.multi_runs.add_candidate("mr-1", model="b")).id == "mr-1"
        assert (yield api.multi_runs.drop_candidate("mr-1", 2, reason="Astray", allow_pr_ban=True)).id == "mr-1"

    client.play(script)
    path = "/v1/organizations/42/multi-runs"
    body = {"prompt": "Do it", "concurrency": 5, "variants": [{"model": "a"}]}
    estimate, added, dropped = wire.requests[1:]
    assert sent(estimate) == ("POST", f"{path}/estimate", body)
    assert sent(added) == ("POST", f"{path}/mr-1/candidates", {"model": "b"})
    assert added.headers["idempotency-key"]
    assert (dropped.method, dropped.url.path) == ("DELETE", f"{path}/mr-1/candidates/2")
    assert dict(dropped.url.params) == {"reason": "Astray", "allow_pr_ban": "true"}


def test_a_multi_run_is_repaired(client, wire):
    for _ in range(3):
        wire.answers(202, MULTI_RUN | {"status": "running"})

    def script(api):
        yield api.multi_runs.retry("mr-1", [0])
        yield api.multi_runs.retry("mr-1")
        assert (yield api.multi_runs.resynthesize("mr-1", strategy="select", candidates=(0, 1))).status == "running"

    client.play(script)
    path = "/v1/organizations/42/multi-runs/mr-1"
    assert [sent(request) for request in wire.requests[-3:]] == [
        ("POST", f"{path}/retry", {"candidates": [0]}),
        ("POST", f"{path}/retry", {}),
        ("POST", f"{path}/resynthesize", {"strategy": "select", "candidates": [0, 1]}),
    ]


def test_a_candidate_is_picked_and_the_pick_is_undone(client, wire):
    pick = {"candidate": 1, "picked_by": "user:7", "picked_at": "2026-11-26T09:12:40.118Z", "reason": None}
    closed = {"candidate": 0, "outcome": "closed"}
    wire.answers(200, MULTI_RUN | {"pick": pick, "losers": [closed]}).answers(200, MULTI_RUN | {"pick": None})

    def script(api):
        picked = yield api.multi_runs.pick("mr-1", 1, replaces=2, close_losers=True)
        assert (picked.pick.candidate, picked.losers[0].outcome) == (1, "closed")
        assert (yield api.multi_runs.unpick("mr-1")).pick is None

    client.play(script)
    path = "/v1/organizations/42/multi-runs/mr-1/pick"
    body = {"candidate": 1, "replaces": 2, "close_losers": True}
    assert [sent(request) for request in wire.requests[-2:]] == [("POST", path, body), ("DELETE", path, None)]


def test_the_parts_of_a_multi_run_are_objects_and_an_odd_part_does_not_hide_the_others(client, wire):
    parts = {
        "counts": {"finished": 1, "usable": "many"},
        "synthesis": {"status": "running", "agent_run_id": 9, "key": "mr-1.s1"},
        "judging": {"ranking": [{"candidate": 1, "rank": 1, "points": 2}], "judges": [{"status": "completed"}]},
        "estimate": "cheap",
        "candidates": [{"index": 0, "status": "queued", "queue": {"position": 1, "expected_at": None}}],
        "rejections": [{"synthesis": 1, "reason": "It is empty."}],
    }
    wire.answers(200, MULTI_RUN | parts)

    def script(api):
        found = yield api.multi_runs.get("mr-1")
        assert (found.synthesis.status, found.synthesis.agent_run_id) == ("running", 9)
        assert (found.judging.ranking[0].points, found.judging.judges[0].problem) == (2, None)
        assert (found.candidates[0].queue.position, found.rejections[0].reason) == (1, "It is empty.")
        assert (found.counts.finished, found.counts.failed, found.estimate) == (1, 0, None)
        assert found.model_dump() == MULTI_RUN | parts | {"unreadable": ["estimate"]} | {
            "counts": parts["counts"] | {"unreadable": ["usable"]}
        }

    client.play(script)


def test_the_candidates_of_a_multi_run_are_compared(client, wire):
    evidence = {"tests_outcome": "passed", "files": [{"path": "a.py", "access": "changed", "new": 1}], "newer": [2]}
    compared = {"index": 0, "status": "completed", "evidence": evidence}
    wire.answers(200, {"multi_run_id": "mr-1", "status": "completed", "candidates": [compared], "agreement": None})

    def script(api):
        found = yield api.multi_runs.compare("mr-1")
        facts = found.candidates[0].evidence
        assert (facts.tests_outcome, facts.files[0].path, facts.commands, facts.steps) == ("passed", "a.py", [], None)
        assert facts.model_dump() == evidence
        assert (found.candidates[0].rank, found.agreement) == (None, None)

    client.play(script)
    assert sent(wire.requests[-1]) == ("GET", "/v1/organizations/42/multi-runs/mr-1/compare", None)


def test_the_operations_on_an_organization_and_its_members(client, wire):
    organization = {"id": 42, "name": "Works", "settings": {"feature_x": True}, "members_count": 3, "role": "admin"}
    usage = {
        "organization_id": 42,
        "start_date": "2024-01-01",
        "end_date": "2024-01-31",
        "runs": {"total": 5},
        "complete": True,
    }
    member = {"id": 789, "name": "Ada", "email": "ada@example.com", "role": "admin", "permissions": ["read"]}
    wire.answers(200, organization).answers(200, usage)
    wire.answers(200, {"items": [member], "has_more": False}).answers(200, organization).answers(200, member)

    def script(api):
        found = yield api.organizations.get_organization()
        assert (found.name, found.members_count, found.role) == ("Works", 3, "admin")
        counted = yield api.organizations.get_organization_usage(
            start_date=datetime(2024, 1, 1, tzinfo=UTC), end_date=date(2024, 1, 31)
        )
        assert counted.runs.total == 5
        assert str(counted) == "5 runs from 2024-01-01 to 2024-01-31"
        (ada,) = yield api.organizations.get_organization_members()
        assert (ada.name, ada.email, ada.role, ada.permissions) == ("Ada", "ada@example.com", "admin", ["read"])
        yield api.organizations.update_organization(name="Works", settings={"feature_x": True, "old": None})
        yield api.users.update_user("789", role="admin", permissions=("read",))

    client.play(script)
    assert dict(wire.requests[2].url.params) == {"start_date": "2024-01-01T00:00:00+00:00", "end_date": "2024-01-31"}
    assert sent(wire.requests[4]) == (
        "PATCH",
        "/v1/organizations/42",
        {"name": "Works", "settings": {"feature_x": True, "old": None}},
    )
    assert sent(wire.requests[5])[1:] == (
        "/v1/organizations/42/users/789",
        {"role": "admin", "permissions": ["read"]},
    )


def test_budgets_are_read_and_set(client, wire):
    budgets = {"organization_id": 42, "organization": {"runs_per_day": 9}, "caller": {}, "used": []}
    use = {"budget": "runs_per_day", "scope": "organization", "limit": 9, "used": 3, "resets_at": None}
    budgets["used"] = [use]
    wire.answers(200, budgets).answers(200, budgets)

    def script(api):
        found = yield api.budgets.get()
        assert [str(each) for each in found.used] == ["runs_per_day (organization): 3 of 9"]
        assert found.model_dump()["used"] == [use]
        changed = yield api.budgets.set({"runs_per_day": 9}, org_id=42)
        assert changed.organization == {"runs_per_day": 9}

    client.play(script)
    assert sent(wire.requests[2]) == (
        "PUT",
        "/v1/organizations/42/budgets",
        {"organization": {"runs_per_day": 9}, "caller": {}},
    )


def audit_entries(count):
    """Return entries of an audit trail, newest first, each with the hash of the one before it."""
    entries, previous = [], "0" * 64
    for sequence in range(1, count + 1):
        entry = {"sequence": sequence, "id": f"ae-{sequence}", "act": "run.ban", "actor": "user:1", "details": {"b": 1}}
        entry |= {"outcome": "attempted", "previous": previous}
        content = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        entry["hash"] = previous = hashlib.sha256(content.encode()).hexdigest()
        entries.insert(0, entry)
    return entries


def test_the_audit_trail_is_listed_with_filters(client, wire):
    (entry,) = audit_entries(1)
    wire.answers(200, {"items": [entry], "has_more": False})
    since = datetime(2027, 1, 1, tzinfo=UTC)

    def script(api):
        (listed,) = yield items_of(api.audit.list(act="run.ban", since=since))
        assert (listed.sequence, listed.act, listed.details) == (1, "run.ban", {"b": 1})

    client.play(script)
    query = {"act": "run.ban", "since": "2027-01-01T00:00:00+00:00", "limit": "100"}
    assert dict(wire.requests[1].url.params) == query


def test_the_audit_trail_is_verified_over_all_its_pages(client, wire):
    entries = audit_entries(3)
    wire.answers(200, {"items": entries[:2], "has_more": True, "next_cursor": "c"})
    wire.answers(200, {"items": entries[2:], "has_more": False, "next_cursor": None})

    def script(api):
        check = yield api.audit.verify(known=f"2:{entries[1]['hash']}")
        assert (check.is_intact, check.entries, check.unfinished) == (True, 3, (1, 2, 3))
        assert check.head == f"3:{entries[0]['hash']}"

    client.play(script)
    assert wire.requests[2].url.params["cursor"] == "c"


def test_a_broken_audit_trail_is_found(client, wire):
    entries = audit_entries(3)
    entries[1]["details"] = {"b": 2}
    wire.answers(200, {"items": entries, "has_more": False})

    def script(api):
        check = yield api.audit.verify()
        assert (check.is_intact, check.broken_at) == (False, 2)
        assert check.reason == "Its content has another hash: it was changed."

    client.play(script)


@pytest.mark.parametrize("page", [{"items": [], "has_more": True, "next_cursor": "c"}, {"items": "none"}, {}])
def test_pages_of_an_audit_trail_that_lead_nowhere_are_an_error(client, wire, page):
    wire.answers(200, page)

    def script(api):
        with pytest.raises(codegen_api.InvalidResponseError):
            yield api.audit.verify()

    client.play(script)


@pytest.mark.parametrize("known", ["3", "3:abc", "0:" + "a" * 64, 3])
def test_a_known_entry_has_a_sequence_and_a_hash(client, known):
    def script(api):
        with pytest.raises(codegen_api.InvalidArgumentError, match="SEQUENCE:HASH"):
            yield api.audit.verify(known=known)

    client.play(script)


def test_the_doorbell_is_read_turned_on_and_turned_off(client, wire):
    webhook = {"url": "https://hooks.example/", "enabled": True, "has_secret": True}
    doorbell = {"organization_id": 42, "state": "forwarding", "webhook": None, "replaced": webhook}
    for _ in range(4):
        wire.answers(200, doorbell)

    def script(api):
        assert (yield api.doorbell.get()).replaced.has_secret
        yield api.doorbell.turn_on()
        assert (yield api.doorbell.turn_on(forward=True, secret="not-secret", org_id=7)).state == "forwarding"
        yield api.doorbell.turn_off()

    client.play(script)
    assert [sent(request) for request in wire.requests[1:]] == [
        ("GET", "/v1/organizations/42/doorbell", None),
        ("PUT", "/v1/organizations/42/doorbell", {"forward": False}),
        ("PUT", "/v1/organizations/7/doorbell", {"forward": True, "secret": "not-secret"}),
        ("DELETE", "/v1/organizations/42/doorbell", None),
    ]


def test_api_tokens_are_created_listed_and_revoked(client, wire):
    token = {"id": "tok-1", "name": "mine", "prefix": "crt_a"}
    wire.answers(201, token | {"token": "crt_a-secret"}).answers(200, {"items": [token], "has_more": False})
    wire.answers(204, content=b"")
    until = datetime.now() + timedelta(days=30)

    def script(api):
        made = yield api.users.create_api_token(name="mine", expires_at=until, role="viewer", organizations=["42"])
        assert made.token == "crt_a-secret"
        assert "secret" not in repr(made)
        (listed,) = yield api.users.list_api_tokens()
        assert (listed.id, listed.token) == ("tok-1", None)
        yield api.users.revoke_api_token(token_id="tok-1")

    client.play(script)
    assert "idempotency-key" not in wire.requests[1].headers, (
        "the deployment ignores a key here, so a retry would create a second token"
    )
    body = sent(wire.requests[1])[2]
    assert datetime.fromisoformat(body["expires_at"]) == until.astimezone()
    assert (body["role"], body["organizations"]) == ("viewer", [42])
    assert sent(wire.requests[3])[:2] == ("DELETE", "/v1/users/me/api-tokens/tok-1")


def _checkpoint(number: int, **more):
    found = {"id": f"7.0-{number}", "agent_run_id": 7, "run": "7", "turn": 1, "reason": "end", "status": "completed"}
    return found | more


FORKED = {"key": "8", "agent_run_id": 8, "status": "queued", "action": "fork", "checkpoint_id": "7.0-9"} | {
    "created_new_run": True,
    "detail": "A new run was started.",
}


def test_a_fork_of_a_task_that_ended_waits_until_its_end_is_recorded(client, wire, clock):
    wire.answers(200, CARD | {"status": "completed", "turn": 2})
    for newest in ([_checkpoint(3)], [_checkpoint(6, turn=2, status="running")], [_checkpoint(9, turn=2)]):
        wire.answers(200, {"items": newest})
    wire.answers(201, FORKED).answers(200, CARD | {"id": 8})

    def script(api):
        task = yield api.get_task(7)
        assert (yield task.fork(prompt="Once more")).id == 8

    client.play(script)
    assert wire.requests[-2].url.path == "/v1/organizations/42/checkpoints/7.0-9/fork"
    assert clock.sleeps == [1, 1]


def test_a_fork_of_a_task_without_a_checkpoint_makes_one(client, wire, clock):
    wire.answers(200, CARD).answers(200, {"items": []}).answers(201, _checkpoint(2, reason="manual", status="running"))
    wire.answers(201, FORKED).answers(200, CARD | {"id": 8})

    def script(api):
        task = yield api.get_task(7)
        yield task.fork()

    client.play(script)
    made, forked = wire.requests[-3:-1]
    assert sent(made)[:2] == ("POST", "/v1/organizations/42/agent/run/7/checkpoints")
    assert forked.url.path == "/v1/organizations/42/checkpoints/7.0-2/fork"
    assert clock.sleeps == []


def test_a_fork_does_not_wait_for_ever_for_the_end_of_a_task(client, wire, clock):
    wire.answers(200, CARD | {"status": "completed", "turn": 1})
    for _ in range(61):
        wire.answers(200, {"items": [_checkpoint(3, status="running")]})

    def script(api):
        task = yield api.get_task(7)
        with pytest.raises(codegen_api.TaskTimeoutError, match="end of task 7"):
            yield task.fork()

    client.play(script)
    assert sum(clock.sleeps) == 60
