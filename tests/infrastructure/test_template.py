"""What the template must say about every function, table, API and schedule."""

import json
import re
from typing import Any

import pytest

from codegen_runs import problems
from codegen_runs.http.answers import EXPOSED_HEADERS
from codegen_runs.multi_runs import tasks
from codegen_runs.problems import (
    InternalError,
    RouteNotFound,
    TokenExpired,
    TokenRevoked,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from local import cloudformation
from local.cloudformation import Document, TemplateError
from local.template import Route, Template
from tests.support import backend, handlers
from tests.support.sources import LAYER, ROOT

FUNCTIONS = backend.every_function()
NAMES = sorted(FUNCTIONS)

# These tables hold what can be lost or made again: answers of Codegen, idempotency keys, open WebSocket connections.
SHORT_LIVED = {"SharesTable", "CallersTable", "IdempotencyTable", "ConnectionsTable"}

EXPIRY = {
    "WebhookEndpointsTable": "expires_at",
    "RunsTable": "expires_at",
    "SessionsTable": "expires_at",
    "CallersTable": "expires_at",
    "SharesTable": "expires_at",
    "IdempotencyTable": "expires_at",
    "ConnectionsTable": "expires_at",
    "AccessTable": "forgotten_at",
}

# Functions with one handler: the one that returns pages, and the one that LiveStreaming adds, which streams.
LIVE_VERSIONS = {
    "SendChatMessage": "SendChatMessageLive",
    "StreamAgentRunLogs": "StreamAgentRunLogsLive",
}


# --- functions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_function_is_traced_logs_to_the_shared_group_and_uses_the_layer(name: str) -> None:
    document = backend.document_with(name)
    properties = document.resources[name].properties

    assert properties["Tracing"] == "Active"
    assert properties["LoggingConfig"]["LogFormat"] == "JSON"
    assert properties["LoggingConfig"]["LogGroup"] == document.resources["FunctionLogs"].name
    assert properties["Layers"] == [document.resources["CodegenLayer"].arn]
    assert properties["Description"].endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_a_function_deploys_from_its_source_folder(name: str) -> None:
    """Its dependencies are in the layer. Without SkipBuild, `sam build` needs the Python of the Lambda runtime."""
    # A function with further dependencies has a makefile that installs them with any Python.
    expected = {"BuildMethod": "makefile"} if name in ("RenderMarkdown", "SendWebhooks") else {"SkipBuild": True}

    assert backend.document_with(name).resources[name].attributes["Metadata"] == expected


def test_the_layer_is_built_for_the_runtime_of_the_functions(document: Document) -> None:
    layer = document.resources["CodegenLayer"]
    builder = (LAYER / "build.py").read_text("utf-8")
    (built_for,) = re.findall(r'^RUNTIME = "(.+)"$', builder, re.MULTILINE)

    assert layer.attributes["Metadata"] == {"BuildMethod": "makefile"}
    for function in document.of("AWS::Serverless::Function"):
        assert [function.properties["Runtime"]] == layer.properties["CompatibleRuntimes"] == [f"python{built_for}"]
        assert function.properties["Architectures"] == layer.properties["CompatibleArchitectures"]
        assert function.properties["Architectures"] == ["x86_64"]  # The builder's default; `make build` puts another.


def test_the_parameters_reach_every_function_as_variables() -> None:
    given = {
        "AllowedOrigin": "https://ui.example",
        "CodegenBaseUrl": "https://codegen.example",
        "CodegenLimitFactor": "3",
        "CodegenMaxRetries": "4",
        "CodegenOrgId": "42",
        "CodegenTimeout": "5",
        "CheckpointRetentionDays": "9",
        "EventRetentionDays": "6",
        "LogLevel": "DEBUG",
        "MaxQueuedRunsPerCaller": "7",
        "MaxQueuedRunsPerOrganization": "8",
    }

    assert backend.template(**given).functions["GetHealth"].environment == {
        "ALLOWED_ORIGIN": "https://ui.example",
        "AWS_ENDPOINT_URL": "",
        "CODEGEN_BASE_URL": "https://codegen.example",
        "CODEGEN_LIMIT_FACTOR": "3",
        "CODEGEN_MAX_RETRIES": "4",
        "CODEGEN_ORG_ID": "42",
        "CODEGEN_TIMEOUT": "5",
        "CHECKPOINT_RETENTION_DAYS": "9",
        "EVENT_RETENTION_DAYS": "6",
        "MAX_QUEUED_RUNS_PER_CALLER": "7",
        "MAX_QUEUED_RUNS_PER_ORGANIZATION": "8",
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "POWERTOOLS_METRICS_NAMESPACE": "CodegenRuns",
        "POWERTOOLS_SERVICE_NAME": "codegen-runs",
    }


def test_without_parameters_the_functions_use_aws_and_the_public_codegen_api(template: Template) -> None:
    environment = template.functions["GetHealth"].environment

    assert (environment["AWS_ENDPOINT_URL"], environment["CODEGEN_BASE_URL"]) == ("", "https://api.codegen.com")


# --- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:codegen-token-AbCdEf",
        "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:codegen/token-a1B2c3",
        "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:a+b=c.d@e_f-123456",
    ],
)
def test_the_secret_is_the_arn_of_any_partition(secret: str) -> None:
    assert (
        backend.template(CodegenTokenSecret=secret).functions["PollRuns"].environment["CODEGEN_TOKEN_SECRET"] == secret
    )


@pytest.mark.parametrize(
    "secret",
    [
        "",
        " ",
        "codegen-token",
        "cg-fake-token-that-somebody-pasted",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:token",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:codegen-token-AbCdEf ",
        "arn:aws:ssm:us-east-1:123456789012:parameter/codegen-token-AbCdEf",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:codegen-token-*",
    ],
)
def test_a_secret_that_is_no_complete_arn_is_refused_before_anything_is_created(secret: str) -> None:
    """The permission to read the secret names it, so a partial ARN would deploy a stack that cannot read its token."""
    with pytest.raises(TemplateError, match="CodegenTokenSecret"):
        backend.template(CodegenTokenSecret=secret)


@pytest.mark.parametrize("key", ["alias/codegen", "arn:aws:kms:us-east-1:123456789012:alias/codegen", "*"])
def test_a_key_that_is_no_arn_of_a_key_is_refused(key: str) -> None:
    """IAM compares permissions with the ARN of the key, not with that of an alias."""
    with pytest.raises(TemplateError, match="CodegenTokenKey"):
        backend.template(CodegenTokenKey=key)


def test_a_key_of_your_own_adds_the_permission_to_decrypt_the_secret_with_it() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    default, own = (backend.template(**given) for given in ({}, {"CodegenTokenKey": key}))

    assert len(statements(default)) == 1
    assert statements(own) == [
        *statements(default),
        {
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": key,
            "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}},
        },
    ]


def statements(deployed: Template) -> Any:
    document = cloudformation.read(deployed.path, deployed.parameters)
    return document.resources["ReadCodegenToken"].properties["PolicyDocument"]["Statement"]


# --- timeouts --------------------------------------------------------------------------------------------------------


def test_the_gateway_waits_for_every_function_that_it_calls(template: Template) -> None:
    """API Gateway gives up after 29 seconds. A function that runs longer would work for nobody."""
    assert template.api

    assert {(route.timeout, route.function.timeout) for route in template.api.routes} == {(29, 29)}


def test_only_streams_schedules_and_queues_let_a_function_run_longer_than_the_gateway_waits() -> None:
    assert {name: function.timeout for name, function in FUNCTIONS.items() if function.timeout != 29} == {
        "PollRuns": 85,
        "ReconcileMultiRuns": 60,
        "SendWebhooks": 30,
        "SendChatMessageLive": 900,
        "StreamAgentRunLogsLive": 900,
    }


def test_a_request_to_codegen_times_out_before_the_function_that_sends_it() -> None:
    function = backend.template(CodegenTimeout="28").functions["GetAgentRun"]

    assert int(function.environment["CODEGEN_TIMEOUT"]) < function.timeout
    with pytest.raises(TemplateError, match="CodegenTimeout: '29' is out of range"):
        backend.template(CodegenTimeout="29")


def test_a_tick_of_the_poller_ends_just_before_the_next_one(template: Template) -> None:
    seconds = template.functions["PollRuns"].timeout - handlers.load("poller/poll").MARGIN

    assert 50 <= seconds < 60


def test_the_schedules_run_as_often_as_documented(template: Template) -> None:
    assert {each.function.logical_id: each.expression for each in template.schedules} == {
        "PollRuns": "rate(1 minute)",
        "ReconcileMultiRuns": "rate(5 minutes)",
    }


# --- streaming -------------------------------------------------------------------------------------------------------


def test_live_streaming_adds_a_function_that_streams_to_each_that_returns_pages() -> None:
    pages, live = backend.template(), backend.template(LiveStreaming="true")

    assert pages.functions.keys() - live.functions.keys() == set()
    assert live.functions.keys() - pages.functions.keys() == set(LIVE_VERSIONS.values())


@pytest.mark.parametrize(("pages", "live"), LIVE_VERSIONS.items())
def test_the_function_that_streams_does_the_same_at_the_same_paths(pages: str, live: str) -> None:
    one, other = FUNCTIONS[pages], FUNCTIONS[live]

    assert (one.handler, one.code_dir, one.layers) == (other.handler, other.code_dir, other.layers)
    assert {**one.environment, "AWS_LAMBDA_EXEC_WRAPPER": "/opt/stream"} == other.environment
    assert policies(pages) == policies(live)
    assert paths(pages) == paths(live)


@pytest.mark.parametrize("live", LIVE_VERSIONS.values())
def test_the_gateway_streams_for_as_long_as_the_function_runs(live: str) -> None:
    """Every other method remains at the function that returns pages, so nothing but a stream is streamed."""
    settings = {(route.method, route.streams, route.timeout) for route in routes_of(live)}

    method = "POST" if live == "SendChatMessageLive" else "GET"
    assert settings == {(method, True, FUNCTIONS[live].timeout)}


def policies(name: str) -> Any:
    properties = backend.document_with(name).resources[name].properties
    return properties.get("Role") or properties["Policies"]


def paths(name: str) -> set[str]:
    return {route.path for route in routes_of(name)}


def routes_of(name: str) -> list[Route]:
    api = backend.template(**({} if name in backend.template().functions else {"LiveStreaming": "true"})).api
    assert api
    return [route for route in api.routes if route.function.logical_id == name]


# --- tables and logs -------------------------------------------------------------------------------------------------


def test_a_table_is_paid_by_request_encrypted_and_restorable(document: Document) -> None:
    tables = document.of("AWS::DynamoDB::Table")

    assert tables
    for table in tables:
        assert table.properties["BillingMode"] == "PAY_PER_REQUEST"
        assert table.properties["SSESpecification"]["SSEEnabled"] is True
        assert table.properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True


def test_a_table_outlives_the_stack_unless_its_items_are_short_lived(document: Document) -> None:
    for table in document.of("AWS::DynamoDB::Table"):
        policies = (table.attributes["DeletionPolicy"], table.attributes["UpdateReplacePolicy"])
        kept = ("RetainExceptOnCreate", "Retain")
        assert policies == (("Delete", "Delete") if table.logical_id in SHORT_LIVED else kept), table.logical_id


def test_the_items_of_a_table_expire_by_the_attribute_that_the_code_writes(template: Template) -> None:
    written = {path: path.read_text("utf-8") for path in (LAYER / "codegen_runs").rglob("*.py")}

    assert {name: table.ttl_attribute for name, table in template.tables.items() if table.ttl_attribute} == EXPIRY
    assert set(EXPIRY) >= SHORT_LIVED
    for attribute in EXPIRY.values():
        assert any(f'"{attribute}"' in source for source in written.values())


def test_every_log_group_expires(document: Document) -> None:
    groups = document.of("AWS::Logs::LogGroup")

    assert groups
    assert all(group.properties["RetentionInDays"] == document.parameters["LogRetentionDays"] for group in groups)


# --- the state machine -----------------------------------------------------------------------------------------------


def test_the_state_machine_calls_every_function_it_is_given(template: Template, document: Document) -> None:
    machine = template.state_machines["MultiRunStateMachine"]
    given = set(machine.substitutions.values())
    statement = document.resources["MultiRunStateMachine"].properties["Policies"][0]["Statement"][0]

    assert set(re.findall(r"arn:aws:lambda:[^\"]+", machine.definition)) == given
    assert given == set(statement["Resource"])


def test_many_candidates_go_through_the_same_states_each_in_an_execution_of_its_own(
    template: Template, document: Document
) -> None:
    machine = template.state_machines["MultiRunStateMachine"]
    states = json.loads(machine.definition)["States"]
    few, many = states["Candidates"], states["ManyCandidates"]
    granted = {
        (action, resource)
        for statement in document.resources["MultiRunStateMachine"].properties["Policies"][0]["Statement"]
        for action in statement["Action"]
        for resource in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    }

    assert few["MaxConcurrency"] == tasks.MOST_BRANCHES
    assert few["ItemProcessor"].pop("ProcessorConfig")["Mode"] == "INLINE"
    assert many["ItemProcessor"].pop("ProcessorConfig") == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    for shared in ("ItemProcessor", "ItemSelector", "ItemsPath", "ResultPath", "Catch", "Next"):
        assert few[shared] == many[shared]
    executions = machine.arn.replace(":stateMachine:", ":execution:")
    assert granted >= {
        ("states:StartExecution", machine.arn),
        ("states:DescribeExecution", f"{executions}:*"),
        ("states:StopExecution", f"{executions}:*"),
        ("states:RedriveExecution", f"{executions}/{many['Label']}:*"),
    }


def test_a_publish_that_dies_is_tried_again(template: Template) -> None:
    """It may have stored the answer, and have pull requests left to close."""
    (machine,) = template.state_machines.values()
    (retry,) = json.loads(machine.definition)["States"]["Publish"]["Retry"]

    assert {"Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"} <= set(retry["ErrorEquals"])


def test_the_state_machine_waits_for_runs_is_traced_and_logs_errors_without_data(document: Document) -> None:
    """An express state machine ends after five minutes. The data of an execution holds prompts and answers."""
    properties = document.resources["MultiRunStateMachine"].properties

    assert properties["Type"] == "STANDARD"
    assert properties["Tracing"] == {"Enabled": True}
    assert properties["Logging"]["Level"] == "ERROR"
    assert properties["Logging"]["IncludeExecutionData"] is False


# --- the APIs --------------------------------------------------------------------------------------------------------


def test_the_rest_api_is_regional_and_traced(document: Document) -> None:
    """An edge-optimized API ends a stream that is idle for 30 seconds."""
    (api,) = document.of("AWS::Serverless::Api")

    assert api.properties["EndpointConfiguration"] == {"Type": "REGIONAL"}
    assert api.properties["TracingEnabled"] is True


def test_both_apis_are_throttled(document: Document) -> None:
    (rest,), (live,) = document.of("AWS::Serverless::Api"), document.of("AWS::Serverless::WebSocketApi")
    limits = {"ThrottlingRateLimit": "200", "ThrottlingBurstLimit": "400"}

    assert rest.properties["MethodSettings"] == [{"HttpMethod": "*", "ResourcePath": "/*"} | limits]
    assert live.properties["DefaultRouteSettings"] == limits


@pytest.mark.parametrize(
    ("function", "parameter"), [("PollRuns", "PollerConcurrency"), ("Authorize", "AuthorizerConcurrency")]
)
def test_executions_are_reserved_only_by_parameter(function: str, parameter: str) -> None:
    """An account with a small limit of its own cannot reserve any."""

    def reserved(**parameters: str) -> object:
        deployed = backend.template(**parameters)
        found = cloudformation.read(deployed.path, deployed.parameters)
        return found.resources[function].properties.get("ReservedConcurrentExecutions")

    assert reserved() is None
    assert reserved(**{parameter: "3"}) == "3"


def test_both_apis_have_the_same_stage(template: Template) -> None:
    assert template.api
    assert template.websocket_api

    assert template.api.stage == template.websocket_api.stage == template.parameters["StageName"]


def test_the_gateway_does_not_cache_the_answers_of_the_authorizer(template: Template) -> None:
    """The key of its cache is a header that every request must have, but the token is in one of two headers."""
    assert template.api

    assert {route.authorizer.cache_ttl for route in template.api.routes if route.authorizer} == {0}


def test_a_websocket_message_names_its_action(template: Template) -> None:
    assert template.websocket_api

    assert template.websocket_api.selection == "action"


def test_the_outputs_that_the_documentation_names_are_the_urls_of_the_apis(document: Document) -> None:
    host = "execute-api.us-east-1.amazonaws.com"

    assert document.outputs["ApiUrl"] == f"https://Api.{host}/v0"
    assert document.outputs["WebSocketUrl"] == f"wss://WebSocketApi.{host}/v0"


@pytest.mark.parametrize("name", ["AnswerMessage", "PollRuns"])
def test_a_function_that_sends_to_viewers_has_the_url_of_the_websocket_api(template: Template, name: str) -> None:
    assert template.websocket_api
    host = f"{template.websocket_api.id}.execute-api.us-east-1.amazonaws.com"

    assert (
        template.functions[name].environment["WEBSOCKET_ENDPOINT"] == f"https://{host}/{template.websocket_api.stage}"
    )


def test_a_browser_may_send_every_header_that_the_api_reads(template: Template) -> None:
    assert template.api
    assert template.api.cors
    assert template.api.cors.allow_headers
    described = json.loads((ROOT / "openapi.json").read_text("utf-8"))
    parameters = [
        each if "in" in each else described["components"]["parameters"][each["$ref"].rsplit("/", 1)[1]]
        for operations in described["paths"].values()
        for operation in operations.values()
        for each in operation.get("parameters", ())
    ]
    documented = {each["name"].lower() for each in parameters if each["in"] == "header"}

    assert set(template.api.cors.allow_headers.lower().split(",")) == documented | {
        *("authorization", "x-api-key"),
        *("content-type", "x-request-id"),
        *ADDED_BY_LIBRARIES,
    }


# Polyfills of EventSource and HTTP clients send the first five, tracing and error reports the others.
ADDED_BY_LIBRARIES = (
    *("accept", "accept-language", "cache-control", "pragma", "x-requested-with"),
    *("baggage", "sentry-trace", "traceparent", "tracestate"),
)


@pytest.mark.parametrize("origin", ["*", "https://ui.example"])
def test_a_browser_of_the_allowed_origin_may_call_the_api(origin: str) -> None:
    api = backend.template(AllowedOrigin=origin).api
    assert api
    assert api.cors

    assert api.cors.allow_origin == origin


def test_the_gateway_has_an_error_body_of_ours_for_what_it_refuses_itself(template: Template) -> None:
    assert template.api

    assert {kind: answer.status for kind, answer in template.api.gateway_responses.items()} == {
        "UNAUTHORIZED": 401,
        "ACCESS_DENIED": 401,
        "WAF_FILTERED": 403,
        "DEFAULT_4XX": 404,
        "EXPIRED_TOKEN": 404,
        "INVALID_SIGNATURE": 404,
        "MISSING_AUTHENTICATION_TOKEN": 404,
        "REQUEST_TOO_LARGE": 413,
        "UNSUPPORTED_MEDIA_TYPE": 415,
        "THROTTLED": 429,
        "AUTHORIZER_FAILURE": 502,
        "DEFAULT_5XX": 502,
        "INTEGRATION_TIMEOUT": 504,
    }


def test_an_error_of_the_gateway_has_cors_headers_and_the_form_of_our_own_errors(template: Template) -> None:
    assert template.api
    assert template.api.cors

    for kind, response in template.api.gateway_responses.items():
        assert response.headers["Access-Control-Allow-Origin"] == template.api.cors.allow_origin, kind
        assert response.headers["Access-Control-Expose-Headers"] == EXPOSED_HEADERS, kind
        assert response.headers["X-Request-Id"] == "$context.requestId", kind
        assert response.headers["Content-Type"] == "application/problem+json", kind
        body = json.loads(response.templates["application/json"])
        # API Gateway evaluates no functions in these bodies, so it cannot escape a path for JSON.
        assert body.keys() == problems.render(InternalError(), "/", "1").keys() - {"instance"}, kind
        assert (body["status"], body["status_code"]) == (response.status, response.status), kind
        assert body["request_id"] == "$context.requestId", kind
        assert body["message"] == body["detail"], kind
        assert body["remedy"], kind


def test_no_text_of_the_caller_can_break_an_error_of_the_gateway(template: Template) -> None:
    """API Gateway puts variables into these bodies as they are, so a quote would end the JSON text around it."""
    assert template.api
    bodies = [response.templates["application/json"] for response in template.api.gateway_responses.values()]
    variables = {name for body in bodies for name in re.findall(r"\$context\.([\w.]*\w)", body)}

    assert variables == {"requestId", "authorizer.refused", "authorizer.reason", "authorizer.remedy"}
    for problem in (TokenExpired("The API token expired at 2030-01-01T00:00:00.000Z."), TokenRevoked()):
        for text in (problem.code, problem.detail, problem.remedy):
            assert json.dumps(text) == f'"{text}"'


def test_an_error_of_the_gateway_says_how_to_authenticate_and_when_to_retry(template: Template) -> None:
    assert template.api
    responses = template.api.gateway_responses
    bodies = {kind: json.loads(response.templates["application/json"]) for kind, response in responses.items()}

    assert {kind for kind, response in responses.items() if response.status == 401} == {"UNAUTHORIZED", "ACCESS_DENIED"}
    assert responses["UNAUTHORIZED"].headers["WWW-Authenticate"] == "Bearer"
    assert responses["ACCESS_DENIED"].headers["WWW-Authenticate"] == "Bearer"
    assert responses["THROTTLED"].headers["Retry-After"] == "1"
    assert {kind for kind, body in bodies.items() if body["retryable"]} == {"THROTTLED", "AUTHORIZER_FAILURE"}


def test_an_error_of_the_gateway_has_the_texts_of_the_same_error_of_a_function(template: Template) -> None:
    assert template.api
    bodies = {
        kind: json.loads(response.templates["application/json"])
        for kind, response in template.api.gateway_responses.items()
    }

    for kind, same in {
        "UNAUTHORIZED": Unauthorized,
        "DEFAULT_4XX": RouteNotFound,
        "EXPIRED_TOKEN": RouteNotFound,
        "INVALID_SIGNATURE": RouteNotFound,
        "MISSING_AUTHENTICATION_TOKEN": RouteNotFound,
        "UNSUPPORTED_MEDIA_TYPE": UnsupportedMediaType,
        "REQUEST_TOO_LARGE": TooLarge,
    }.items():
        expected = (same.code, same.status, same.title, same.remedy, same.retryable)
        assert tuple(bodies[kind][name] for name in ("code", "status", "title", "remedy", "retryable")) == expected
