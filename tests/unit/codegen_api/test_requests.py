"""The requests of a client: paths, queries, bodies and headers, and the settings they depend on."""

import contextlib
import json
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import (
    AsyncCodegenAPI,
    CodegenAPI,
    ConfigurationError,
    InvalidArgumentError,
    ResponseTooLargeError,
    ServerError,
    Webhook,
)
from codegen_api._ids import as_path
from codegen_api._settings import normalize_base_url

RUN = {"id": 7, "organization_id": 42}
LOGS = {"id": 7, "organization_id": 42, "logs": []}
PAGE = {"items": [], "total": 0, "page": 1, "size": 100, "pages": 0}
USER = {"id": 1, "github_user_id": "1", "github_username": "ada"}
INTEGRATIONS = {
    "organization_id": 42,
    "organization_name": "Acme",
    "integrations": [],
    "total_active_integrations": 0,
}
HOOK = {"url": None, "enabled": False, "has_secret": False}
CHECKS = {
    "check_retry_count": 3,
    "ignored_checks": [],
    "check_retry_counts": {},
    "custom_prompts": {},
    "high_priority_apps": [],
    "available_check_suite_names": ["build"],
}
PROVIDER = {
    "id": 1,
    "name": "linear",
    "issuer": "https://provider.test",
    "authorization_endpoint": "https://provider.test/authorize",
    "token_endpoint": "https://provider.test/token",
    "default_scopes": None,
    "is_mcp": True,
}
WHOLE_PAGE = {"skip": "0", "limit": "100"}

OPERATIONS = [
    ("users.list", lambda api: api.users.list(), "GET /v1/organizations/42/users", WHOLE_PAGE, None, PAGE),
    ("users.get", lambda api: api.users.get(3), "GET /v1/organizations/42/users/3", {}, None, USER),
    ("users.me", lambda api: api.users.me(), "GET /v1/users/me", {}, None, USER),
    ("organizations.list", lambda api: api.organizations.list(), "GET /v1/organizations", WHOLE_PAGE, None, PAGE),
    ("repos.list", lambda api: api.repos.list(), "GET /v1/organizations/42/repos", WHOLE_PAGE, None, PAGE),
    (
        "runs.create",
        lambda api: api.runs.create(
            "Do it",
            repo_id="9",
            images=["data:image/png;base64,AA=="],
            metadata={"client_run_id": "x", "nothing": None},
            model="claude",
            agent_type="claude_code",
            webhooks=[Webhook(url="https://hook.test"), {"url": "https://other.test", "secret": "s"}],
        ),
        "POST /v1/organizations/42/agent/run",
        {},
        {
            "prompt": "Do it",
            "repo_id": 9,
            "images": ["data:image/png;base64,AA=="],
            "metadata": {"client_run_id": "x", "nothing": None},
            "model": "claude",
            "agent_type": "claude_code",
            "webhooks": [{"url": "https://hook.test"}, {"url": "https://other.test", "secret": "s"}],
        },
        RUN,
    ),
    ("runs.get", lambda api: api.runs.get("7"), "GET /v1/organizations/42/agent/run/7", {}, None, RUN),
    (
        "runs.list",
        lambda api: api.runs.list(user_id=3, source_type="API", skip=20, limit=10),
        "GET /v1/organizations/42/agent/runs",
        {"user_id": "3", "source_type": "API", "skip": "20", "limit": "10"},
        None,
        PAGE,
    ),
    (
        "runs.follow_up",
        lambda api: api.runs.follow_up("7", "And then?", images=[], model="claude"),
        "POST /v1/organizations/42/agent/run/resume",
        {},
        {"agent_run_id": 7, "prompt": "And then?", "images": [], "model": "claude"},
        RUN,
    ),
    (
        "runs.ban",
        lambda api: api.runs.ban(7, before_card_order_id="a", after_card_order_id="b"),
        "POST /v1/organizations/42/agent/run/ban",
        {},
        {"agent_run_id": 7, "before_card_order_id": "a", "after_card_order_id": "b"},
        {"anything": 1},
    ),
    (
        "runs.unban",
        lambda api: api.runs.unban("7"),
        "POST /v1/organizations/42/agent/run/unban",
        {},
        {"agent_run_id": 7},
        None,
    ),
    (
        "runs.remove_from_pr",
        lambda api: api.runs.remove_from_pr(7),
        "POST /v1/organizations/42/agent/run/remove-from-pr",
        {},
        {"agent_run_id": 7},
        [],
    ),
    (
        "runs.logs",
        lambda api: api.runs.logs(7, skip=5, reverse=True),
        "GET /v1/alpha/organizations/42/agent/run/7/logs",
        {"skip": "5", "limit": "100", "reverse": "true"},
        None,
        LOGS,
    ),
    (
        "integrations.list",
        lambda api: api.integrations.list(),
        "GET /v1/organizations/42/integrations",
        {},
        None,
        INTEGRATIONS,
    ),
    (
        "models.list",
        lambda api: api.models.list(),
        "GET /v1/organizations/42/models",
        {},
        None,
        {"providers": [], "default_model": "claude"},
    ),
    (
        "setup_commands.generate",
        lambda api: api.setup_commands.generate(9, "Use uv", "console"),
        "POST /v1/organizations/42/setup-commands/generate",
        {},
        {"repo_id": 9, "prompt": "Use uv", "trigger_source": "console"},
        {"agent_run_id": 8, "status": "ACTIVE", "url": "https://codegen.test/8"},
    ),
    (
        "sandboxes.analyze_logs",
        lambda api: api.sandboxes.analyze_logs(5),
        "POST /v1/organizations/42/sandbox/5/analyze-logs",
        {},
        None,
        {"agent_run_id": 8, "status": "ACTIVE", "message": "Started"},
    ),
    ("webhooks.get", lambda api: api.webhooks.get(), "GET /v1/organizations/42/webhooks/agent-run", {}, None, HOOK),
    (
        "webhooks.set",
        lambda api: api.webhooks.set("https://hook.test", secret="s", enabled=False),
        "POST /v1/organizations/42/webhooks/agent-run",
        {},
        {"url": "https://hook.test", "secret": "s", "enabled": False},
        {"success": True},
    ),
    (
        "webhooks.delete",
        lambda api: api.webhooks.delete(),
        "DELETE /v1/organizations/42/webhooks/agent-run",
        {},
        None,
        None,
    ),
    (
        "webhooks.test",
        lambda api: api.webhooks.test("https://hook.test"),
        "POST /v1/organizations/42/webhooks/agent-run/test",
        {},
        {"url": "https://hook.test"},
        [],
    ),
    ("cli_rules.get", lambda api: api.cli_rules.get(), "GET /v1/organizations/42/cli/rules", {}, None, {"more": 1}),
    (
        "repos.check_suite_settings",
        lambda api: api.repos.check_suite_settings("9"),
        "GET /v1/organizations/42/repos/check-suite-settings",
        {"repo_id": "9"},
        None,
        CHECKS,
    ),
    (
        "repos.update_check_suite_settings",
        lambda api: api.repos.update_check_suite_settings(9, check_retry_count=0, ignored_checks=()),
        "PUT /v1/organizations/42/repos/check-suite-settings",
        {"repo_id": "9"},
        {"check_retry_count": 0, "ignored_checks": []},
        CHECKS,
    ),
    (
        "pull_requests.edit",
        lambda api: api.pull_requests.edit("5", "closed"),
        "PATCH /v1/organizations/42/prs/5",
        {},
        {"state": "closed"},
        {"success": False, "error": "Pull request not found."},
    ),
    (
        "pull_requests.edit with a repository",
        lambda api: api.pull_requests.edit(5, "draft", repo_id=9),
        "PATCH /v1/organizations/42/repos/9/prs/5",
        {},
        {"state": "draft"},
        {"success": True, "url": None, "number": 7},
    ),
    (
        "slack_connect.generate_token",
        lambda api: api.slack_connect.generate_token(),
        "POST /v1/slack-connect/generate-token",
        {},
        {"org_id": 42},
        {"token": "t", "message": "Connect my account: t", "expires_in_minutes": 10},
    ),
    (
        "oauth_tokens.status",
        lambda api: api.oauth_tokens.status(org_id="43"),
        "GET /v1/oauth/tokens/status",
        {"org_id": "43"},
        None,
        ["linear"],
    ),
    (
        "oauth_tokens.revoke",
        lambda api: api.oauth_tokens.revoke("linear & co"),
        "POST /v1/oauth/tokens/revoke",
        {"provider": "linear & co", "org_id": "42"},
        None,
        {"success": True},
    ),
]


@pytest.mark.parametrize(
    ("operation", "line", "query", "body", "answer"),
    [pytest.param(*case, id=name) for name, *case in OPERATIONS],
)
def test_each_operation_sends_the_documented_request_and_returns_the_response(
    client, wire, operation, line, query, body, answer
):
    wire.answers(200, answer)

    result = client(operation)

    request = wire.only
    assert f"{request.method} {request.url.path}" == line
    assert dict(request.url.params) == query
    assert (json.loads(request.content) if request.content else None) == body
    result = getattr(result, "first", result)
    assert (result.model_dump() if hasattr(result, "model_dump") else result) == answer


def test_the_providers_of_mcp_servers_are_a_list(client, wire):
    wire.answers(200, [PROVIDER, PROVIDER | {"meta": {"beta": True}, "new": 1}])

    providers = client(lambda api: api.mcp_providers.list())

    assert wire.only.url.path == "/v1/mcp-providers"
    assert [provider.model_dump() for provider in providers] == [
        PROVIDER,
        PROVIDER | {"meta": {"beta": True}, "new": 1},
    ]


def test_what_a_method_has_no_argument_for_is_sent_by_a_view(client, wire, run):
    wire.answers(200, run).answers(200, PAGE).answers(200, run)
    query, body = {"dry_run": ["1", "2"], "skip": 5}, {"effort": {"level": None}, "prompt": "ignored", "note": None}

    client.each(
        lambda api: api.with_more(query=query, body=body).runs.create("Do it"),
        lambda api: api.with_more(query=query).with_more(query={"x": ""}, body=body).runs.list(),
        lambda api: api.runs.create("Do it"),
    )

    created, listed, plain = wire.requests
    assert json.loads(created.content) == {"prompt": "Do it", "effort": {"level": None}, "note": None}
    assert created.url.query == b"dry_run=1&dry_run=2&skip=5"
    assert listed.url.params.multi_items() == [
        *(("dry_run", "1"), ("dry_run", "2"), ("skip", "0"), ("x", ""), ("limit", "100"))
    ]
    assert listed.content == b""
    assert (json.loads(plain.content), plain.url.query) == ({"prompt": "Do it"}, b"")


def test_an_operation_that_the_client_does_not_know_can_be_called(client, wire, token):
    wire.answers(202, headers={"x-odd": "1"}, content=b"not JSON")

    answer = client(
        lambda api: api.request(
            "PUT",
            "/v1/organizations/42/new/caf%C3%A9",
            params={"a": ["1", "2"]},
            content=b"\xff",
            content_type="image/png",
        )
    )

    assert (answer.status, answer.headers["x-odd"], answer.content) == (202, "1", b"not JSON")
    assert str(wire.only.url) == "https://codegen.test/v1/organizations/42/new/caf%C3%A9?a=1&a=2"
    assert (wire.only.method, wire.only.content, wire.only.headers["content-type"]) == ("PUT", b"\xff", "image/png")
    assert wire.only.headers["authorization"] == f"Bearer {token}"


def test_a_request_that_only_reads_is_retried_and_others_are_not(client, wire):
    for _ in range(3):
        wire.answers(500)
    wire.answers(200, {"ok": True})

    with pytest.raises(ServerError) as caught:
        client(lambda api: api.request("POST", "/v1/new", content=b"{}"))
    assert caught.value.effect_unknown
    answer = client(lambda api: api.request("HEAD", "/v1/new"))

    assert (answer.status, len(wire.requests)) == (200, 4)


@pytest.mark.parametrize(
    "path",
    [
        "v1/new",
        "/v2/new",
        "/v1",
        "/v1/",
        "/v1/new/",
        "/v1//new",
        "//evil.test/v1/new",
        "https://evil.test/v1/new",
        "@evil.test/v1/new",
        "/v1/../admin",
        "/v1/./new",
        "/v1/..;/new",
        "/v1/new/..",
        "/v1/%2e%2e/admin",
        "/v1/.%2E/admin",
        "/v1/a%2Fb",
        "/v1/a%2fb",
        "/v1/a%5Cb",
        "/v1/a\\b",
        "/v1/a%252Fb",
        "/v1/%61gent",
        "/v1/caf%c3%a9",
        "/v1/caf%E9",
        "/v1/café",
        "/v1/a%00b",
        "/v1/a%0D%0AHost:b",
        "/v1/a\nb",
        "/v1/a?b=1",
        "/v1/a%3Fb",
        "/v1/a#b",
        "/v1/a;b",
        "/v1/a%",
        "/v1/a%zz",
        "/v1/a b",
        "/v1/%E2%80%AEa",
    ],
)
def test_a_path_that_servers_read_in_different_ways_is_refused_before_anything_is_sent(client, path):
    with pytest.raises(ValueError, match="not a path"):
        client(lambda api: api.request("GET", path))


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4))
def test_a_path_that_is_accepted_arrives_unchanged(segments):
    path = "/v1/" + "/".join(quote(segment, safe="") for segment in segments)
    with contextlib.suppress(ValueError):
        assert httpx.URL("https://codegen.test" + as_path(path)).raw_path == path.encode()
        assert all(segment not in (".", "..") and "/" not in segment for segment in segments)


@pytest.mark.parametrize("content", [b"x" * 101, b"x" * 50_000])
def test_a_response_with_more_bytes_than_allowed_is_not_read_to_its_end(client, wire, content):
    stream = wire.streams(*(content[i : i + 40] for i in range(0, len(content), 40)), every=1)

    with pytest.raises(ResponseTooLargeError, match="more than 100 bytes"):
        client(lambda api: api.request("GET", "/v1/new", max_bytes=100))

    assert stream.closed
    assert client.clock.now - 1000 == 3
    assert len(wire.requests) == 1


def test_a_response_with_as_many_bytes_as_allowed_is_returned(client, wire):
    wire.streams(b"x" * 60, b"x" * 40, every=1)

    assert client(lambda api: api.request("GET", "/v1/new", max_bytes=100)).content == b"x" * 100


def test_arguments_that_are_not_given_are_not_sent(client, wire, run):
    wire.answers(200, run)

    client(lambda api: api.runs.create("Do it"))

    assert json.loads(wire.only.content) == {"prompt": "Do it"}
    assert wire.only.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("operation", "answer"), [(lambda api: api.runs.list(), PAGE), (lambda api: api.runs.logs(7), LOGS)]
)
def test_filters_that_are_not_given_are_not_in_the_query(client, wire, operation, answer):
    wire.answers(200, answer)

    client(operation)

    assert dict(wire.only.url.params) == WHOLE_PAGE


def test_metadata_that_is_not_json_is_refused_before_anything_is_sent(client):
    with pytest.raises(ValueError, match="JSON"):
        client(lambda api: api.runs.create("Do it", metadata={"score": float("nan")}))


def test_every_request_has_the_token_and_the_additional_headers(client, wire, token):
    wire.answers(200, USER)

    client(lambda api: api.users.me(), headers={"x-codegen-client": "tests", "authorization": "Bearer another"})

    assert wire.only.headers["authorization"] == f"Bearer {token}"
    assert wire.only.headers["x-codegen-client"] == "tests"
    assert wire.only.headers["accept-encoding"] == "gzip, deflate"
    assert wire.only.headers["user-agent"].startswith("codegen-api-python/")


def test_a_call_may_name_another_organization_than_the_default(client, wire, run):
    wire.answers(200, run)

    client(lambda api: api.runs.get(7, org_id="43"))

    assert wire.only.url.path == "/v1/organizations/43/agent/run/7"


def test_a_prompt_that_is_not_even_valid_unicode_can_be_sent(client, wire, run):
    wire.answers(200, run)

    client(lambda api: api.runs.create("half an emoji: \ud83d"))

    assert json.loads(wire.only.content)["prompt"] == "half an emoji: \ud83d"


@pytest.mark.parametrize("bad", ["", "..", "7/logs", "7?x", "\u0667", "-", "seven", True], ids=repr)
def test_an_invalid_id_is_refused_before_anything_is_sent(client, bad):
    with pytest.raises(ValueError, match="not an id"):
        client(lambda api: api.runs.get(bad))


@pytest.mark.parametrize(
    ("given_url", "called"),
    [
        ("https://codegen.test", "https://codegen.test/v1/users/me"),
        ("https://codegen.test/", "https://codegen.test/v1/users/me"),
        ("https://codegen.test/v1", "https://codegen.test/v1/users/me"),
        ("https://codegen.test/v1/", "https://codegen.test/v1/users/me"),
        (" https://codegen.test/proxy/codegen/v1//\n", "https://codegen.test/proxy/codegen/v1/users/me"),
        ("http://127.0.0.1:3002/apiv1", "http://127.0.0.1:3002/apiv1/v1/users/me"),
        ("https://v1", "https://v1/v1/users/me"),
        ("http://[::1]:3002/v1", "http://[::1]:3002/v1/users/me"),
    ],
)
def test_a_base_url_may_end_in_v1_or_a_slash_and_have_a_path(client, wire, given_url, called):
    wire.answers(200, USER)

    client(lambda api: api.users.me(), base_url=given_url)

    assert str(wire.only.url) == called


@given(
    st.from_regex(r"https?://[a-z0-9]{1,9}(:[1-9][0-9]{1,3})?(/[a-z0-9]{1,4}){0,3}", fullmatch=True),
    st.sampled_from(["", "/", "//", "/v1", "/v1/"]),
)
def test_normalizing_a_base_url_removes_only_its_ending(base_url, ending):
    normal = normalize_base_url(base_url)

    assert normalize_base_url(normal + ending) == normal or normal.endswith("/v1")
    assert httpx.URL(normal + "/v1/users/me").host == httpx.URL(base_url).host


@pytest.mark.parametrize(
    "bad",
    [
        "api.codegen.com",
        "ftp://codegen.test",
        "https://",
        "https://ada:secret@codegen.test",
        "https://codegen.test/?key=secret",
        "https://codegen.test/#secret",
        "https://codegen.test:port",
        "https://[::1",
    ],
)
def test_an_invalid_base_url_is_refused_and_not_quoted(client, bad):
    with pytest.raises(ConfigurationError) as caught:
        client(lambda api: api.users.me(), base_url=bad)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("client", [CodegenAPI, AsyncCodegenAPI])
class TestSettingsFromTheEnvironment:
    def test_a_client_needs_a_token(self, client):
        with pytest.raises(ConfigurationError, match="CODEGEN_API_TOKEN"):
            client(org_id=42)

    @pytest.mark.parametrize("bad", ["", " ", "two words", "line\nbreak", "schlüssel"])
    def test_a_token_that_is_no_valid_header_value_is_refused_and_not_quoted(self, client, monkeypatch, bad):
        monkeypatch.setenv("CODEGEN_API_TOKEN", "sk-of-somebody-else")

        with pytest.raises(ConfigurationError) as caught:
            client(org_id=42, token=bad)

        assert bad.strip() == "" or bad not in str(caught.value)

    def test_an_organization_that_is_not_a_number_is_refused(self, client, monkeypatch):
        monkeypatch.setenv("CODEGEN_ORG_ID", "acme")

        with pytest.raises(ConfigurationError, match="whole number"):
            client(token="sk-fake")

    def test_arguments_take_precedence(self, client, monkeypatch):
        monkeypatch.setenv("CODEGEN_ORG_ID", "1")
        monkeypatch.setenv("CODEGEN_TOKEN", "sk-fake")
        monkeypatch.setenv("CODEGEN_BASE_URL", "https://environment.test/v1/")

        assert repr(client()) == f"{client.__name__}(org_id=1, base_url='https://environment.test')"
        assert repr(client("2", base_url="https://argument.test")).endswith(
            "(org_id=2, base_url='https://argument.test')"
        )


def test_codegen_api_token_precedes_codegen_token(client, wire, monkeypatch):
    monkeypatch.setenv("CODEGEN_API_TOKEN", "sk-fake-first\n")
    monkeypatch.setenv("CODEGEN_TOKEN", "sk-fake-second")
    wire.answers(200, USER)

    client(lambda api: api.users.me(), token=None)

    assert wire.only.headers["authorization"] == "Bearer sk-fake-first"


def test_only_a_call_that_needs_an_organization_fails_without_one(client, wire):
    wire.answers(200, USER)

    client(lambda api: api.users.me(), org_id=None)
    with pytest.raises(ConfigurationError, match="CODEGEN_ORG_ID"):
        client(lambda api: api.runs.get(7), org_id=None)


def test_closing_a_client_does_not_close_a_shared_http_client(wire):
    wire.answers(200, USER).answers(200, USER)
    with httpx.Client(transport=httpx.MockTransport(wire)) as shared:
        for token in ("sk-fake-ada", "sk-fake-bob"):
            with CodegenAPI(token=token, base_url="https://codegen.test", http_client=shared) as api:
                api.users.me()

        assert not shared.is_closed
    assert [request.headers["authorization"][-3:] for request in wire.requests] == ["ada", "bob"]


def test_the_auth_of_a_shared_http_client_can_replace_the_token(wire):
    class Renewed(httpx.Auth):
        def auth_flow(self, request):
            request.headers["authorization"] = "Bearer sk-fake-renewed"
            yield request

    wire.answers(200, USER)
    with httpx.Client(transport=httpx.MockTransport(wire), auth=Renewed()) as shared:
        CodegenAPI(token="sk-fake-old", base_url="https://codegen.test", http_client=shared).users.me()

    assert wire.only.headers["authorization"] == "Bearer sk-fake-renewed"


# --- arguments that cannot be sent ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["", " ", "\n\t", "\u00a0\u2003", "\u200b\ufeff"])
@pytest.mark.parametrize(
    "operation",
    [lambda api, prompt: api.runs.create(prompt), lambda api, prompt: api.runs.follow_up(1, prompt)],
    ids=["create", "follow_up"],
)
def test_an_empty_prompt_is_refused_before_it_is_sent(client, wire, operation, prompt):
    with pytest.raises(InvalidArgumentError, match="the prompt is empty"):
        client(lambda api: operation(api, prompt))

    assert not wire.requests


@pytest.mark.parametrize("value", ["#5", " 5", "\u0663", "5.0", "-1", "", 1.5, True, None, b"5"])
def test_what_is_no_id_is_an_error_of_this_client(client, wire, value):
    for operation in (lambda api: api.runs.get(value), lambda api: api.users.get(value)):
        with pytest.raises(InvalidArgumentError, match="not an id"):
            client(operation)

    assert not wire.requests


@pytest.mark.parametrize(
    "metadata", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}], ids=["nan", "an object", "a set"]
)
def test_what_json_does_not_have_is_an_error_of_this_client(client, wire, metadata):
    with pytest.raises(InvalidArgumentError, match="cannot be written as JSON"):
        client(lambda api: api.runs.create("Do it.", metadata=metadata))

    assert not wire.requests


@pytest.mark.parametrize("key", ["", "\u00e9", "a\nb"])
def test_an_idempotency_key_that_no_header_can_hold_is_an_error_of_this_client(client, wire, key):
    with pytest.raises(InvalidArgumentError, match="an idempotency key must be printable ASCII"):
        client(lambda api: api.runs.create("Do it.", idempotency_key=key))

    assert not wire.requests
