"""Every operation of a deployment has a method in both clients, with every parameter and field of the operation."""

import json
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from codegen_api import AgentType, MultiRunStatus, RunStatus, _deployment_models, _multi_run_models, _usage_models
from codegen_api._models import Model
from codegen_api.resources import multi_runs
from tests.support.documents import example, operation_of, resolve
from tests.support.lists import items_of

DOCUMENT = json.loads(Path("functions/docs/openapi.json").read_text("utf-8"))

NOT_CALLED = {
    ("get", "/docs"): "a page for a browser",
    ("get", "/redoc"): "a page for a browser",
    ("get", "/"): "leads a browser to the console",
    ("get", "/console"): "a page for a browser",
    ("get", "/console/{version}/{file}"): "a file of that page",
    ("post", "/v1/doorbell/{doorbell}"): "called by Codegen",
    ("post", "/console/markdown"): "draws Markdown for that page",
    ("post", "/v1/organizations/{org_id}/agent/run/{agent_run_id}/resume"): "called in the test below: the same path "
    "ends a pause and, with a prompt, is the follow-up that `runs.follow_up` sends",
}

LEFT_OUT = {
    "ticket": "for browsers, which cannot send a token",
    "view": "the chat's own stream sends it",
    "poll_interval": "without effect: the server sends events at once",
    "wait": "`task.stream()` sends it",
}

PAGE = {"limit": 9}
HOOKS = [{"url": "https://hook.test", "secret": "s"}]
START: dict[str, Any] = {
    "repo_id": 9,
    "images": ["data:image/png;base64,AA=="],
    "metadata": {"a": 1},
    "model": "m",
    "agent_type": "codegen",
    "webhooks": HOOKS,
    "agent_id": "assistant",
}
FOLLOW_UP: dict[str, Any] = {name: START[name] for name in ("images", "model", "webhooks")}
CHANGES: dict[str, Any] = {"prompt": "Go", "system_prompt": "Be brief.", "model": "m"}
AGENT: dict[str, Any] = {
    "description": "d",
    "configuration": {},
    "system_prompt": "s",
    "model": "m",
    "repo_id": 9,
    "tags": ["t"],
}

ENDPOINT: dict[str, Any] = {
    "url": "https://hook.test",
    "description": "d",
    "events": ["run.failed"],
    "format": "slack",
}

VARIANT: dict[str, Any] = {
    "prompt": "Do it otherwise",
    "model": "m",
    "agent_type": "codegen",
    "repo_id": 9,
    "agent_id": "a",
    "system_prompt": "Be brief.",
}
MULTI_RUN: dict[str, Any] = {
    "concurrency": 2,
    "variants": [{"model": "m"}],
    "strategy": "select",
    "close_losers": True,
    "quorum": 1,
    "first_k": 2,
    "adaptive": {"start": 2, "agree": 2},
    "second_wave": 1,
    "judge": "always",
    "judges": 2,
    "synthesis": {"top_k": 2},
    "deadline_s": 600,
    "on_deadline": "partial",
    "candidate_timeout_s": 300,
    "repo_id": 9,
    "model": "m",
    "agent_type": "codegen",
    "agent_id": "assistant",
    "system_prompt": "s",
    "from_checkpoint": "1.0-1",
    "metadata": {"a": 1},
}

CALLS = [
    lambda api: api.service.health(),
    lambda api: api.service.openapi(),
    lambda api: api.users.me(),
    lambda api: api.users.list(skip=1, limit=9),
    lambda api: api.users.get(3),
    lambda api: api.users.api_tokens(**PAGE),
    lambda api: api.users.create_api_token("mine", "2027-01-01", role="viewer", organizations=[42]),
    lambda api: api.users.revoke_api_token("7"),
    lambda api: api.members.list(**PAGE),
    lambda api: api.members.update(3, role="admin", permissions=["read"]),
    lambda api: api.organizations.list(skip=1, limit=9),
    lambda api: api.organizations.get(),
    lambda api: api.organizations.update(name="A", settings={"a": 1}),
    lambda api: api.usage.get("2026-01-01", "2026-02-01"),
    lambda api: api.budgets.get(),
    lambda api: api.budgets.set(
        organization={
            "candidates_per_multi_run": 1,
            "runs_per_day": 1,
            "runs_per_month": 1,
            "follow_ups_per_day": 1,
            "concurrent_runs": 1,
        },
        caller={"runs_per_day": 1},
    ),
    lambda api: api.audit.list(
        actor="user:7", act="run.ban", target="7", since="2027-01-01", until="2027-01-02", limit=PAGE["limit"]
    ),
    lambda api: api.audit.verify(),
    lambda api: api.rate_limits.get(),
    lambda api: api.stream_tickets.create(agent_run_id=7),
    lambda api: api.stream_tickets.create(multi_run_id="7mr"),
    lambda api: api.repos.list(skip=1, limit=9),
    lambda api: api.repos.check_suite_settings(9),
    lambda api: api.repos.update_check_suite_settings(
        9,
        check_retry_count=3,
        ignored_checks=["lint"],
        check_retry_counts={"build": 1},
        custom_prompts={"build": "Be quick"},
        high_priority_apps=["ci"],
    ),
    lambda api: api.integrations.list(),
    lambda api: api.models.list(),
    lambda api: api.setup_commands.generate(9, "Use uv", "console"),
    lambda api: api.sandboxes.analyze_logs(5),
    lambda api: api.webhooks.get(),
    lambda api: api.webhooks.set("https://hook.test", secret="s", enabled=True),
    lambda api: api.webhooks.test("https://hook.test"),
    lambda api: api.webhooks.delete(),
    lambda api: api.mcp_providers.list(),
    lambda api: api.oauth_tokens.status(),
    lambda api: api.oauth_tokens.revoke("linear"),
    lambda api: api.cli_rules.get(),
    lambda api: api.pull_requests.edit(5, "closed"),
    lambda api: api.pull_requests.edit(5, "closed", repo_id=9),
    lambda api: api.slack_connect.generate_token(),
    lambda api: api.runs.create("Do it", **START),
    lambda api: api.runs.get(7),
    lambda api: api.runs.list(user_id=3, source_type="API", skip=1, limit=9),
    lambda api: api.runs.logs(7, skip=1, limit=9, reverse=True),
    lambda api: api.runs.follow_up(7, "Go on", **FOLLOW_UP),
    lambda api: api.runs.pause(7),
    lambda api: api.runs.cancel(7, allow_pr_ban=True, reason="No need."),
    lambda api: api.runs.events(7, after="0-1", limit=9),
    lambda api: api.runs.events(7, before="latest"),
    lambda api: api.runs.stream(7, after="0-1"),
    lambda api: api.runs.ban(7, before_card_order_id="a", after_card_order_id="b"),
    lambda api: api.runs.unban(7, before_card_order_id="a", after_card_order_id="b"),
    lambda api: api.runs.remove_from_pr(7, before_card_order_id="a", after_card_order_id="b"),
    lambda api: api.run_cards.list(
        status=["running", "queued"],
        created_after="2026-01-01",
        created_before="2026-02-01",
        repo="shop",
        source_type="API",
        tag="t",
        starred=True,
        query="cache",
        children=True,
        page=2,
        limit=9,
    ),
    lambda api: api.run_cards.get(7),
    lambda api: api.run_cards.logs(7, skip=1, limit=9),
    lambda api: api.run_cards.create("Do it", mode="fast", **START),
    lambda api: api.run_cards.follow_up(7, "Go on", **FOLLOW_UP),
    lambda api: api.run_cards.cancel(7, allow_pr_ban=True, reason="No need."),
    lambda api: api.starred_runs.list(**PAGE),
    lambda api: api.starred_runs.star(7, note="Good"),
    lambda api: api.starred_runs.unstar(7),
    lambda api: api.agents.list(tag="t", **PAGE),
    lambda api: api.agents.versions("7a", **PAGE),
    lambda api: api.agents.get("7a", version=1),
    lambda api: api.agents.create("A", "testing", agent_id="7a", **AGENT),
    lambda api: api.agents.update("7a", name="A", agent_type="testing", version=1, **AGENT),
    lambda api: api.agents.delete("7a"),
    lambda api: api.chat.send("assistant", "Hello", session_id="chat-1"),
    lambda api: api.chat.sessions(**PAGE),
    lambda api: api.checkpoints.list(7, **PAGE),
    lambda api: api.checkpoints.create(7, description="d", tags=["t"]),
    lambda api: api.checkpoints.get("7.0-1"),
    lambda api: api.checkpoints.lineage("7.0-1"),
    lambda api: api.checkpoints.restore("7.0-1", create_new_run=False, **CHANGES),
    lambda api: api.checkpoints.fork("7.0-1", **CHANGES),
    lambda api: api.doorbell.get(),
    lambda api: api.doorbell.turn_on(forward=True, secret="s"),
    lambda api: api.doorbell.turn_off(),
    lambda api: api.webhook_endpoints.list(),
    lambda api: api.webhook_endpoints.create(**ENDPOINT),
    lambda api: api.webhook_endpoints.get("7we"),
    lambda api: api.webhook_endpoints.update("7we", enabled=True, **ENDPOINT),
    lambda api: api.webhook_endpoints.rotate_secret("7we"),
    lambda api: api.webhook_endpoints.deliveries("7we", **PAGE),
    lambda api: api.webhook_endpoints.send("7we", message_id="m"),
    lambda api: api.webhook_endpoints.send("7we", since="2026-01-01"),
    lambda api: api.webhook_endpoints.delete("7we"),
    lambda api: api.multi_runs.create("Do it", **MULTI_RUN),
    lambda api: api.multi_runs.estimate("Do it", **MULTI_RUN),
    lambda api: api.multi_runs.list(**PAGE),
    lambda api: api.multi_runs.get("7mr"),
    lambda api: api.multi_runs.compare("7mr"),
    lambda api: api.multi_runs.events("7mr", after="0-1", limit=9),
    lambda api: api.multi_runs.stream("7mr", after="0-1"),
    lambda api: api.multi_runs.pause("7mr"),
    lambda api: api.multi_runs.resume("7mr"),
    lambda api: api.multi_runs.cancel("7mr", allow_pr_ban=True, reason="No need."),
    lambda api: api.multi_runs.retry("7mr", [0]),
    lambda api: api.multi_runs.resynthesize(
        "7mr", candidates=[0, 1], strategy="select", prompt="Join them.", model="m", top_k=2
    ),
    lambda api: api.multi_runs.add_candidate("7mr", **VARIANT),
    lambda api: api.multi_runs.drop_candidate("7mr", 1, reason="Astray", allow_pr_ban=True),
    lambda api: api.multi_runs.pick("7mr", 1, reason="Good", replaces=0, close_losers=True),
    lambda api: api.multi_runs.unpick("7mr", candidate=1),
]


class Deployment:
    """A deployment that answers each operation with an example of its answer, and notes what it was sent."""

    def __init__(self) -> None:
        self.called: dict[tuple[str, str], list[httpx.Request]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, operation = operation_of(DOCUMENT, request)
        self.called.setdefault((request.method.lower(), path), []).append(request)
        if request.url.path == "/health":
            return httpx.Response(200, json={"service": "codegen-runs", "status": "ok", "version": "1.0.0"})
        status, answer = next((int(code), answer) for code, answer in operation["responses"].items() if code[0] == "2")
        content = resolve_answer(answer).get("content", {})
        if "text/event-stream" in content and "application/json" not in content:
            frames = b"event: stream_end\ndata: {}\n\n"
            return httpx.Response(200, content=frames, headers={"content-type": "text/event-stream"})
        if "application/json" not in content:
            return httpx.Response(status)
        found = example(DOCUMENT, content["application/json"].get("schema", {}), full=True)
        if isinstance(found, dict):
            found |= {name: last for name, last in {"has_more": False, "total": 1}.items() if name in found}
        return httpx.Response(status, json=found)


def resolve_answer(answer: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in answer:
        return DOCUMENT["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
    return answer


def operations() -> set[tuple[str, str]]:
    methods = ("get", "post", "put", "patch", "delete")
    return {(method, path) for path, found in DOCUMENT["paths"].items() for method in found if method in methods}


def parameters_of(operation: dict[str, Any]) -> set[str]:
    found = [
        DOCUMENT["components"]["parameters"][each["$ref"].rsplit("/", 1)[1]] if "$ref" in each else each
        for each in operation.get("parameters", [])
    ]
    return {each["name"] for each in found if each["in"] == "query"}


def fields_of(operation: dict[str, Any]) -> set[str]:
    if "requestBody" not in operation:
        return set()
    body = operation["requestBody"]
    body = DOCUMENT["components"]["requestBodies"][body["$ref"].rsplit("/", 1)[1]] if "$ref" in body else body
    schema = body["content"]["application/json"]["schema"]
    if "anyOf" in schema:
        schema = next(option for option in schema["anyOf"] if option.get("type") != "null")
    return set(resolve(DOCUMENT, schema).get("properties", {}))


def script(api):
    for call in CALLS:
        found = call(api)
        if isinstance(found, Iterable | AsyncIterable) and not hasattr(found, "model_dump"):
            found = items_of(found)
        yield found
    yield api.runs.resume(7)


def test_every_operation_has_a_method_with_all_its_parameters_and_fields(client):
    deployment = Deployment()

    client.play(script, transport=httpx.MockTransport(deployment))

    assert set(deployment.called) | set(NOT_CALLED) == operations()
    for (method, path), requests in deployment.called.items():
        operation = DOCUMENT["paths"][path][method]
        sent = {name for request in requests for name in request.url.params}
        assert parameters_of(operation) - set(LEFT_OUT) - {"cursor"} - sent == set(), (method, path)
        assert sent <= parameters_of(operation), (method, path)
        if (method, path) in NOT_CALLED:
            continue
        bodies = [json.loads(request.content) for request in requests if request.content]
        assert {name for body in bodies for name in body} == fields_of(operation), (method, path)


def test_the_default_size_of_a_page_is_one_that_the_server_accepts(client):
    deployment = Deployment()
    lists = [
        lambda api: api.users.list(),
        lambda api: api.users.api_tokens(),
        lambda api: api.members.list(),
        lambda api: api.organizations.list(),
        lambda api: api.repos.list(),
        lambda api: api.runs.list(),
        lambda api: api.runs.logs(7),
        lambda api: api.runs.events(7),
        lambda api: api.run_cards.list(),
        lambda api: api.run_cards.logs(7),
        lambda api: api.starred_runs.list(),
        lambda api: api.agents.list(),
        lambda api: api.agents.versions("7a"),
        lambda api: api.chat.sessions(),
        lambda api: api.checkpoints.list(7),
        lambda api: api.multi_runs.list(),
        lambda api: api.multi_runs.events("7mr"),
        lambda api: api.webhook_endpoints.deliveries("7we"),
        lambda api: api.audit.list(),
    ]

    client.each(*lists, transport=httpx.MockTransport(deployment))

    paged = {key for key in operations() if limit_of(key)}
    assert paged <= set(deployment.called)
    for key in paged:
        for request in deployment.called[key]:
            assert int(request.url.params["limit"]) <= limit_of(key), key


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Status", set(RunStatus)),
        ("MultiRunStatus", set(MultiRunStatus) - {MultiRunStatus.UNKNOWN}),
        ("AgentType", set(AgentType)),
        ("Strategy", set(get_args(multi_runs.Strategy))),
        ("JudgePolicy", set(get_args(multi_runs.JudgePolicy))),
        ("OnDeadline", set(get_args(multi_runs.OnDeadline))),
    ],
)
def test_the_client_has_every_word_of_the_document(name, words):
    assert words == set(DOCUMENT["components"]["schemas"][name]["enum"])


@pytest.mark.parametrize(
    ("name", "kind"), [("VariantOptions", multi_runs.Variant), ("SynthesisOptions", multi_runs.SynthesisOptions)]
)
def test_the_client_has_every_option_of_the_document(name, kind):
    assert set(kind.__annotations__) == set(DOCUMENT["components"]["schemas"][name]["properties"])


MODELS = {
    "SideEffect": _deployment_models.SideEffect,
    "FoldedMultiRun": _deployment_models.FoldedMultiRun,
    "Step": _deployment_models.RunStep,
    "Progress": _deployment_models.RunProgress,
    "AuditEntry": _deployment_models.AuditEntry,
    "Message": _deployment_models.Message,
    "Metrics": _deployment_models.ChatMetrics,
    "ChatSessionSummary": _deployment_models.ChatSessionSummary,
    "BudgetUse": _usage_models.BudgetUse,
    "OrganizationBudgets": _usage_models.Budgets,
    "RunCounts": _usage_models.RunCounts,
    "Winners": _usage_models.Winners,
    "Picks": _usage_models.Picks,
    "MultiRunCounts": _usage_models.MultiRunCounts,
    "Creations": _usage_models.Creations,
    "NotKnown": _usage_models.NotKnown,
    "Usage": _usage_models.Usage,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_every_field_of_the_document(name):
    assert set(MODELS[name].model_fields) == set(DOCUMENT["components"]["schemas"][name]["properties"])


# Objects whose fields depend on who wrote them or on an act, and maps of a count or a text by name.
OPEN = {"metadata", "settings", "configuration", "details"}
COUNTED = {"organization", "caller", "by_status", "by_source", "by_user", "left_out", "reasons"}


def test_no_model_of_a_deployment_has_a_plain_dictionary():
    plain = {
        (model.__name__, name)
        for module in (_deployment_models, _multi_run_models, _usage_models)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Model) and model.__module__ == module.__name__
        for name, field in model.model_fields.items()
        if "dict[" in str(field.annotation) and name not in OPEN | COUNTED
    }

    assert plain == set()


def limit_of(key: tuple[str, str]) -> int:
    """Return the largest page that an operation accepts; 0 if it has no pages."""
    parameters = DOCUMENT["paths"][key[1]][key[0]].get("parameters", [])
    return next((each["schema"]["maximum"] for each in parameters if each.get("name") == "limit"), 0)
