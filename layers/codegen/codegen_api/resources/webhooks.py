"""The webhook of an organization: `api.webhooks`."""

from .._core import Core
from .._ids import Id
from .._models import WebhookConfig
from .._protocol import Call, Json, any_json
from .._resource import AsyncResource, Resource, awaitable, blocking


def get(core: Core, *, org_id: Id | None = None) -> Call[WebhookConfig]:
    """Read the webhook that Codegen calls when a run of the organization ends. Its secret is never returned."""
    return Call("GET", _path(core, org_id), WebhookConfig.read)


def set_(  # noqa: D417 - callers do not pass `core`
    core: Core, url: str, *, secret: str | None = None, enabled: bool = True, org_id: Id | None = None
) -> Call[Json]:
    """Set the webhook of an organization. It replaces the current one. The response is undocumented.

    Args:
        url: The URL that Codegen calls.
        secret: Codegen signs its requests with it.
        enabled: Whether Codegen calls the URL.
        org_id: The organization. If None: the client's default.
    """
    body = {"url": url, "secret": secret, "enabled": enabled}
    return Call("POST", _path(core, org_id), any_json, body=body)


def delete(core: Core, *, org_id: Id | None = None) -> Call[Json]:
    """Delete the webhook of an organization, with its secret. The response is undocumented."""
    return Call("DELETE", _path(core, org_id), any_json)


def send_test(core: Core, url: str, *, org_id: Id | None = None) -> Call[Json]:
    """Let Codegen send a test to a URL. Rate limit: 10 calls per minute. The response is undocumented."""
    return Call("POST", f"{_path(core, org_id)}/test", any_json, body={"url": url})


def _path(core: Core, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/webhooks/agent-run"


class WebhooksResource(Resource):
    """The webhook of an organization."""

    get = blocking(get)
    set = blocking(set_)
    delete = blocking(delete)
    test = blocking(send_test)


class AsyncWebhooksResource(AsyncResource):
    """The webhook of an organization."""

    get = awaitable(get)
    set = awaitable(set_)
    delete = awaitable(delete)
    test = awaitable(send_test)
