"""What the local stack reads of a WebSocket API, and what it refuses to pass over."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local.template import Template, TemplateError, load
from tests.support import backend

SMALL = """
Globals:
  Function: {Runtime: python3.13}
Resources:
  Live:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: v0
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Open.Arn}
        dance: {FunctionArn: !GetAtt Dance.Arn}
  Open:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code, Handler: open.handler}
  Dance:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code, Handler: dance.handler}
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Template]:
    def read(old: str = "", new: str = "") -> Template:
        assert old in SMALL
        (tmp_path / "template.yaml").write_text(SMALL.replace(old, new, 1) if old else SMALL)
        return load(tmp_path / "template.yaml")

    return read


def test_routes_lead_to_functions(read: Callable[..., Template]) -> None:
    api = read().websocket_api

    assert api is not None
    assert (api.id, api.stage) == ("Live", "v0")
    assert {key: function.name for key, function in api.routes.items()} == {"$connect": "Open", "dance": "Dance"}


@pytest.mark.parametrize(
    ("message", "route"),
    [
        ('{"action": "dance"}', "dance"),
        ('{"action": "sing"}', "$default"),
        ('{"other": "dance"}', "$default"),
        ('"dance"', "$default"),
        ("nonsense", "$default"),
    ],
)
def test_a_message_goes_to_the_route_that_it_names(message: str, route: str, read: Callable[..., Template]) -> None:
    api = read().websocket_api
    assert api is not None

    assert api.route(message) == route


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("!GetAtt Dance.Arn", "arn:elsewhere", "Live.Routes.dance: arn:elsewhere is not a function"),
        ("$request.body.action", "$request.header.x", "Live: the local stack supports $request.body.KEY only"),
        ("      StageName: v0", "      Auth: {AuthType: AWS_IAM}", "Live: the local stack does not support Auth"),
        ("dance: {Fun", "dance: {ApiKeyRequired: true, Fun", "Live.Routes.dance: the local stack does not support Api"),
        ("      RouteSelectionExpression: $request.body.action\n", "", "Live: RouteSelectionExpression is missing"),
    ],
)
def test_an_invalid_message_is_refused(old: str, new: str, message: str, read: Callable[..., Template]) -> None:
    with pytest.raises(TemplateError, match=message.replace("$", r"\$")):
        read(old, new)


def test_a_template_without_one_has_none(read: Callable[..., Template]) -> None:
    start, end = SMALL.index("  Live:"), SMALL.index("  Open:")

    assert read(SMALL[start:end], "").websocket_api is None


def test_the_routes_of_this_template_are_read() -> None:
    api = backend.template().websocket_api
    assert api is not None

    assert {key: function.name for key, function in api.routes.items()} == {
        "$connect": "OpenConnection",
        "$disconnect": "CloseConnection",
        "$default": "AnswerMessage",
    }
