"""The requests of a client: paths, queries, bodies and headers, and the settings they depend on."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_api import AsyncCodegenAPI, CodegenAPI, ConfigurationError, Webhook
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
        "runs.resume",
        lambda api: api.runs.resume("7", "And then?", images=[], model="claude"),
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
    assert (result.model_dump() if hasattr(result, "model_dump") else result) == answer


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
