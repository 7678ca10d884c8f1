"""What the template loader supports, and the errors for what it does not support."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.template import ANY_SECRET, Template, TemplateError, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[3]

SMALL = """
Parameters:
  Origin: {Type: String, Default: "*"}
  Secret: {Type: String, MinLength: 1}
  Retries: {Type: Number, Default: 2, MaxValue: 10}
Globals:
  Function:
    Runtime: python3.13
    Timeout: 29
    Layers: [!Ref Layer]
    Environment:
      Variables:
        RETRIES: !Ref Retries
Resources:
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layer}
  Things:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      SSESpecification: {SSEEnabled: true}
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v0
      Cors: {AllowOrigin: !Sub "'${Origin}'", AllowMethods: "'GET,OPTIONS'"}
      Auth:
        DefaultAuthorizer: Callers
        AddDefaultAuthorizerToCorsPreflight: false
        Authorizers:
          Callers:
            FunctionArn: !GetAtt Authorize.Arn
            FunctionPayloadType: REQUEST
            Identity: {ReauthorizeEvery: 0}
      GatewayResponses:
        UNAUTHORIZED:
          StatusCode: "401"
          ResponseParameters: {Headers: {Content-Type: "'application/problem+json'"}}
          ResponseTemplates: {application/json: '{"id": "$context.requestId"}'}
  Authorize:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code, Handler: authorize.handler}
  GetThing:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: get.handler
      Timeout: 5
      Environment:
        Variables:
          THINGS: !Ref Things
          MACHINE: !Ref Machine
          LOUD: true
      Policies: [{Statement: [{Effect: Allow, Action: "dynamodb:Query", Resource: !Sub "${Things.Arn}/index/x"}]}]
      Events:
        Route: {Type: Api, Properties: {RestApiId: !Ref Api, Method: get, Path: "/things/{id}"}}
        Open: {Type: Api, Properties: {RestApiId: !Ref Api, Method: GET, Path: /open, Auth: {Authorizer: NONE}}}
        Often: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 minute)}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub ${AWS::StackName}-machine
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {Get: !GetAtt GetThing.Arn}
Outputs:
  Url: {Value: !Sub "https://${Api}.execute-api.${AWS::Region}.amazonaws.com"}
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Template]:
    """Return a function that loads SMALL with one piece of its text replaced."""

    def read(old: str = "", new: str = "", *, parameters: Mapping[str, str] | None = None) -> Template:
        assert old in SMALL
        (tmp_path / "template.yaml").write_text(SMALL.replace(old, new, 1) if old else SMALL)
        return load(tmp_path / "template.yaml", {"Secret": "s", **(parameters or {})})

    return read


def test_a_function_has_the_variables_of_globals_and_its_own(read):
    function = read().functions["GetThing"]

    assert function.environment == {
        "RETRIES": "2",
        "THINGS": "Things",
        "MACHINE": "arn:aws:states:us-east-1:123456789012:stateMachine:codegen-runs-machine",
        "LOUD": "true",
    }


def test_a_property_of_a_function_overrides_globals(read, tmp_path):
    function = read().functions["GetThing"]

    assert (function.timeout, function.memory, function.runtime) == (5, 128, "python3.13")
    assert function.arn == "arn:aws:lambda:us-east-1:123456789012:function:GetThing"
    assert function.code_dir == tmp_path / "code"
    assert function.layers == (tmp_path / "layer",)


def test_a_parameter_overrides_its_default(read):
    assert read(parameters={"Retries": "7"}).functions["GetThing"].environment["RETRIES"] == "7"


def test_a_route_has_the_default_authorizer_unless_it_names_none(read):
    api = read().api

    assert [(route.method, route.path, route.authorizer and route.authorizer.name) for route in api.routes] == [
        ("GET", "/things/{id}", "Callers"),
        ("GET", "/open", None),
    ]
    assert api.routes[0].authorizer.function.logical_id == "Authorize"


def test_cors_and_gateway_responses_lose_their_quotes(read):
    api = read(parameters={"Origin": "https://ui.example"}).api

    assert api.cors.allow_origin == "https://ui.example"
    assert api.gateway_responses["UNAUTHORIZED"].status == 401
    assert api.gateway_responses["UNAUTHORIZED"].headers == {"Content-Type": "application/problem+json"}


def test_a_table_has_the_arguments_of_create_table(read):
    table = read().tables["Things"]

    assert table.create == {
        "TableName": "Things",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    assert table.ttl_attribute == "expires_at"


def test_a_schedule_names_its_function(read):
    (schedule,) = read().schedules

    assert (schedule.function.logical_id, schedule.expression) == ("GetThing", "rate(1 minute)")


def test_a_definition_is_read_with_its_substitutions(read, tmp_path):
    (tmp_path / "machine.asl.json").write_text('{"Resource": "${Get}"}')

    machine = read().state_machines["Machine"]

    assert machine.definition == '{"Resource": "arn:aws:lambda:us-east-1:123456789012:function:GetThing"}'


@pytest.mark.parametrize(
    ("text", "problem"),
    [('{"Resource": "${Other}"}', r"no entry in DefinitionSubstitutions for \$\{Other\}"), ("{", "Expecting property")],
)
def test_a_definition_that_is_incomplete_or_no_json_is_an_error(read, tmp_path, text, problem):
    (tmp_path / "machine.asl.json").write_text(text)

    with pytest.raises(TemplateError, match=problem):
        _ = read().state_machines["Machine"].definition


def test_a_missing_definition_is_an_error_that_names_the_file(read, tmp_path):
    with pytest.raises(TemplateError, match=r"no definition at .*machine\.asl\.json"):
        _ = read().state_machines["Machine"].definition


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("!Ref Things", "!Ref Nothing", "GetThing.Environment.Variables.THINGS: Nothing is not in the template"),
        ("${Things.Arn}", "${Nothing.Arn}", "Nothing is not in the template"),
        ("${Things.Arn}", "${Things.StreamArn}", r"does not support Things\.StreamArn"),
        ("!Ref Things", "!ImportValue x", "GetThing.Environment.Variables.THINGS: .* Fn::ImportValue"),
        ("!Ref Things", "!If {a: b}", "!If takes no mapping"),
        ("Timeout: 5", "Timeout: 5\n      Timeout: 6", "duplicate key Timeout"),
        ("Timeout: 5", "EphemeralStorage: {Size: 1024}", "GetThing: .* does not support EphemeralStorage"),
        ("AWS::DynamoDB::Table", "AWS::EC2::VPC", r"Things: .* does not support AWS::EC2::VPC"),
        ("Type: ScheduleV2", "Type: S3", r"GetThing\.Events\.Often: .* does not support S3"),
        ("Authorizer: NONE", "Authorizer: Other", "there is no authorizer Other"),
        ("Path: /open", 'Path: "/things/{id}"', "duplicate route GET /things/{id}"),
        ("\"'GET,OPTIONS'\"", '"GET"', "is not a constant in single quotes"),
        ("CorsPreflight: false", "CorsPreflight: true", "does not support an authorizer of preflight"),
        ("ReauthorizeEvery: 0", "ReauthorizeEvery: 60", "a cache needs Identity.Headers"),
        ("FunctionPayloadType: REQUEST", "FunctionPayloadType: TOKEN", "REQUEST authorizers only"),
        ("!GetAtt Authorize.Arn", "arn:aws:lambda:other", "is not a function of the template"),
        ("Layers: [!Ref Layer]", "Layers: [arn:aws:lambda:other]", "the layer arn:aws:lambda:other is not in"),
        ("Outputs:", "Mappings: {}\nOutputs:", "does not support Mappings"),
        (
            "Type: AWS::DynamoDB::Table",
            "Type: AWS::DynamoDB::Table\n    Condition: x",
            "Things: .* the condition .*'x'",
        ),
        ("Type: AWS::DynamoDB::Table", "Type: AWS::DynamoDB::Table\n    Transform: x", "does not support Transform"),
        ("RestApiId: !Ref Api", "RestApiId: other", "its RestApiId is not Api"),
        ("Handler: get.handler", "MemorySize: 128", "GetThing: Handler is missing"),
    ],
)
def test_what_is_not_supported_is_an_error_that_names_the_place(read, old, new, problem):
    with pytest.raises(TemplateError, match=problem):
        read(old, new)


@pytest.mark.parametrize(("origin", "tables"), [("*", {"Things", "More"}), ("https://x.test", {"Things", "Less"})])
def test_a_resource_with_a_condition_exists_if_the_condition_holds(read, origin, tables):
    template = read(
        "Resources:",
        """Conditions:
  Open: !Equals [!Ref Origin, "*"]
  Closed: !Not [!Condition Open]
Resources:
  More: {Type: AWS::DynamoDB::Table, Condition: Open}
  Less: {Type: AWS::DynamoDB::Table, Condition: Closed}""",
        parameters={"Origin": origin},
    )

    assert template.tables.keys() == tables


@pytest.mark.parametrize(("origin", "things"), [("*", "Things"), ("https://ui.example", "none")])
def test_a_value_can_depend_on_a_condition(read, origin, things):
    text = SMALL.replace("Resources:", CONDITIONS, 1).replace("!Ref Things", "!If [Open, !Ref Things, none]", 1)

    assert read(SMALL, text, parameters={"Origin": origin}).functions["GetThing"].environment["THINGS"] == things


def test_no_value_removes_its_property_and_its_item(read):
    text = SMALL.replace("Resources:", CONDITIONS, 1).replace("!Ref Things", "!If [Closed, x, !Ref AWS::NoValue]", 1)
    text = text.replace("Layers: [!Ref Layer]", "Layers: [!If [Closed, x, !Ref AWS::NoValue], !Ref Layer]", 1)
    function = read(SMALL, text).functions["GetThing"]

    assert "THINGS" not in function.environment
    assert [layer.name for layer in function.layers] == ["layer"]


def test_a_value_with_an_unknown_condition_is_an_error(read):
    with pytest.raises(TemplateError, match=r"GetThing\.Environment\.Variables\.THINGS: .* the condition .*'Closed'"):
        read("!Ref Things", "!If [Closed, x, y]")


CONDITIONS = """Conditions:
  Open: !Equals [!Ref Origin, "*"]
  Closed: !Not [!Condition Open]
Resources:"""


def test_given_variables_replace_declared_ones_only(tmp_path):
    (tmp_path / "template.yaml").write_text(SMALL)

    template = load(tmp_path / "template.yaml", {"Secret": "s"}, {"THINGS": "others", "UNKNOWN": "x"})

    assert template.functions["GetThing"].environment["THINGS"] == "others"
    assert template.functions["Authorize"].environment == {"RETRIES": "2"}


def test_a_route_can_stream_and_have_a_longer_timeout(read):
    api = read("Path: /open", "Path: /open, ResponseTransferMode: RESPONSE_STREAM, TimeoutInMillis: 900000").api

    assert [(route.streams, route.timeout) for route in api.routes] == [(False, 29), (True, 900)]


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"Secret": ""}, "too short"),
        ({"Retries": "11"}, "out of range"),
        ({"Retries": "many"}, "not a number"),
        ({"Other": "x"}, "parameter Other: not in the template"),
    ],
)
def test_an_invalid_parameter_value_is_an_error(read, parameters, problem):
    with pytest.raises(TemplateError, match=problem):
        read(parameters=parameters)


def test_a_parameter_without_a_default_needs_a_value(tmp_path):
    (tmp_path / "template.yaml").write_text(SMALL)

    with pytest.raises(TemplateError, match="parameter Secret: has no default"):
        load(tmp_path / "template.yaml")


def test_the_template_of_this_repository_is_supported():
    template = load(ROOT / "template.yaml", {"CodegenTokenSecret": ANY_SECRET})

    assert {route.function.logical_id for route in template.api.routes} < template.functions.keys()
    assert template.functions["PollRuns"].environment["CODEGEN_TOKEN_SECRET"] == ANY_SECRET
    assert template.state_machines["MultiRunStateMachine"].name == "codegen-runs-multi-runs"
    assert {schedule.function.logical_id for schedule in template.schedules} == {"PollRuns", "ReconcileMultiRuns"}
