"""Endpoints that get signed messages about runs: `api.webhook_endpoints`. Only a deployment has them."""

from collections.abc import Sequence
from datetime import date

from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import CursorPage, SentMessages, WebhookDelivery, WebhookEndpoint
from .._errors import InvalidArgumentError
from .._flows import perform
from .._ids import Id, as_name
from .._pagination import PAGE_SIZE, Listing, by_cursor
from .._protocol import Call, Flow, no_content
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing
from ._dates import iso_8601

FEATURE = "webhook endpoints"


def list_(core: Core, *, org_id: Id | None = None) -> Flow[list[WebhookEndpoint]]:
    """List the webhook endpoints of an organization, oldest first, without their secrets."""
    path = _path(core, None, org_id)
    yield from require_deployment(core, FEATURE)
    page = yield from perform(Call("GET", path, CursorPage[WebhookEndpoint].read))
    return page.items


def create(  # noqa: D417 - callers do not pass `core`
    core: Core,
    url: str,
    *,
    description: str | None = None,
    events: Sequence[str] | None = None,
    format: str | None = None,  # noqa: A002 - the name of the field
    org_id: Id | None = None,
) -> Flow[WebhookEndpoint]:
    """Create a webhook endpoint. Its `secret` is in this response only.

    Args:
        url: Where messages are sent, an https URL.
        description: A text for people.
        events: The types of events that are sent. If None: the ends of runs and multi-runs, and what needs attention.
        format: The form of the messages: `standard` or `slack`.
        org_id: The organization. If None: the client's default.
    """
    path = _path(core, None, org_id)
    yield from require_deployment(core, FEATURE)
    body = {"url": url, "description": description, "events": _listed(events), "format": format}
    # No idempotency key: a deployment would have to store the secret to replay it.
    return (yield from perform(Call("POST", path, WebhookEndpoint.read, body=body)))


def get(core: Core, endpoint_id: str, *, org_id: Id | None = None) -> Flow[WebhookEndpoint]:
    """Read a webhook endpoint, without its secret."""
    path = _path(core, endpoint_id, org_id)
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("GET", path, WebhookEndpoint.read)))


def update(  # noqa: D417 - callers do not pass `core`
    core: Core,
    endpoint_id: str,
    *,
    url: str | None = None,
    description: str | None = None,
    events: Sequence[str] | None = None,
    format: str | None = None,  # noqa: A002 - the name of the field
    enabled: bool | None = None,
    org_id: Id | None = None,
) -> Flow[WebhookEndpoint]:
    """Change a webhook endpoint. What is None stays as it is.

    Args:
        endpoint_id: The endpoint.
        url: Where messages are sent.
        description: A text for people.
        events: The types of events that are sent.
        format: The form of the messages: `standard` or `slack`.
        enabled: Whether messages are sent. True also starts an endpoint again that the deployment has disabled.
        org_id: The organization. If None: the client's default.
    """
    path = _path(core, endpoint_id, org_id)
    yield from require_deployment(core, FEATURE)
    changes = {"url": url, "description": description, "events": _listed(events), "format": format, "enabled": enabled}
    body = {name: value for name, value in changes.items() if value is not None}
    return (yield from perform(Call("PATCH", path, WebhookEndpoint.read, body=body)))


def rotate_secret(core: Core, endpoint_id: str, *, org_id: Id | None = None) -> Flow[WebhookEndpoint]:
    """Give a webhook endpoint a new `secret`, which is in this response only. The earlier one signs for a day."""
    path = _path(core, endpoint_id, org_id)
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("POST", f"{path}/rotate-secret", WebhookEndpoint.read)))


def delete(core: Core, endpoint_id: str, *, org_id: Id | None = None) -> Flow[None]:
    """Delete a webhook endpoint."""
    path = _path(core, endpoint_id, org_id)
    yield from require_deployment(core, FEATURE)
    yield Call("DELETE", path, no_content)


def deliveries(
    core: Core, endpoint_id: str, *, limit: int = PAGE_SIZE, org_id: Id | None = None
) -> Listing[WebhookDelivery, CursorPage[WebhookDelivery]]:
    """List the messages to an endpoint and the tries to deliver them, newest first. `limit` is the size of a page."""
    path, read = f"{_path(core, endpoint_id, org_id)}/deliveries", CursorPage[WebhookDelivery].read
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={"cursor": cursor, "limit": limit}))


def send(  # noqa: D417 - callers do not pass `core`
    core: Core,
    endpoint_id: str,
    *,
    message_id: str | None = None,
    since: date | str | None = None,
    org_id: Id | None = None,
) -> Flow[SentMessages]:
    """Send a test message, or earlier messages again.

    Args:
        endpoint_id: The endpoint.
        message_id: The earlier message to send again.
        since: Send again what was created at this time or later, at most 100 messages.
        org_id: The organization. If None: the client's default.
    """
    if message_id is not None and since is not None:
        raise InvalidArgumentError("pass message_id or since, not both")
    path = _path(core, endpoint_id, org_id)
    yield from require_deployment(core, FEATURE)
    body = {"message_id": message_id, "since": iso_8601(since)}
    call = Call("POST", f"{path}/deliveries", SentMessages.read, body=body, idempotency_key=new_idempotency_key())
    return (yield from perform(call))


def _path(core: Core, endpoint_id: str | None, org_id: Id | None) -> str:
    path = f"/v1/organizations/{core.org(org_id)}/webhook-endpoints"
    return path if endpoint_id is None else f"{path}/{as_name(endpoint_id)}"


def _listed(events: Sequence[str] | None) -> list[str] | None:
    return None if events is None else list(events)


class WebhookEndpointsResource(Resource):
    """Endpoints that get signed messages about runs."""

    list = blocking(list_)
    create = blocking(create)
    get = blocking(get)
    update = blocking(update)
    rotate_secret = blocking(rotate_secret)
    delete = blocking(delete)
    deliveries = listing(deliveries)
    send = blocking(send)


class AsyncWebhookEndpointsResource(AsyncResource):
    """Endpoints that get signed messages about runs."""

    list = awaitable(list_)
    create = awaitable(create)
    get = awaitable(get)
    update = awaitable(update)
    rotate_secret = awaitable(rotate_secret)
    delete = awaitable(delete)
    deliveries = async_listing(deliveries)
    send = awaitable(send)
