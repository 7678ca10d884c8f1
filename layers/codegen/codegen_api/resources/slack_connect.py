"""Connections of Slack accounts: `api.slack_connect`."""

from .._core import Core
from .._ids import Id
from .._models import SlackToken
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def generate_token(core: Core, *, org_id: Id | None = None) -> Call[SlackToken]:
    """Create a token that connects a Slack account to the current user.

    Whoever sends the token to Codegen's bot in Slack is connected, so keep it secret. It can be used once, within ten
    minutes.
    """
    body = {"org_id": core.org(org_id)}
    return Call("POST", "/v1/slack-connect/generate-token", SlackToken.read, body=body)


class SlackConnectResource(Resource):
    """Connections of Slack accounts."""

    generate_token = blocking(generate_token)


class AsyncSlackConnectResource(AsyncResource):
    """Connections of Slack accounts."""

    generate_token = awaitable(generate_token)
