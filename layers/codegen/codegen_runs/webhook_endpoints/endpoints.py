"""Create, read, change and delete webhook endpoints, and list and repeat their deliveries."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from codegen_runs import cursors, forms, settings
from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, IgnoredFields
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.events import timestamp
from codegen_runs.problems import Conflict, NotFound, Unprocessable
from codegen_runs.storage.outbox import ANNOUNCED
from codegen_runs.storage.table import ConditionFailed
from codegen_runs.storage.webhook_endpoints import Delivery, DeliveryStatus, Endpoint, Format
from codegen_runs.webhook_endpoints import announcing, messages
from codegen_runs.webhook_endpoints.addresses import refused

MOST_ENDPOINTS = 20
MOST_REPLAYED = 100

# Both secrets sign for so long after a rotation, so that receivers can change theirs.
ROTATION_SECONDS = 24 * 3600

TYPES = tuple(sorted(ANNOUNCED | {messages.DISABLED}))


class EndpointNotFound(NotFound):
    """The organization has no such webhook endpoint."""

    code = "webhook_endpoint_not_found"

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"There is no webhook endpoint {endpoint_id} in this organization.")


class DeliveryNotFound(NotFound):
    """The endpoint was not sent this message."""

    code = "delivery_not_found"


class TooManyEndpoints(Conflict):
    """The organization has as many webhook endpoints as it may have."""

    code = "too_many_webhook_endpoints"
    remedy = "Delete an endpoint that you no longer need."


class EndpointDisabled(Conflict):
    """Nothing is sent to an endpoint that is disabled."""

    code = "webhook_endpoint_disabled"
    remedy = "Enable the endpoint first: PATCH it with enabled: true."


def _reachable(url: str) -> str:
    if problem := refused(url, private=settings.private_webhooks()):
        raise PydanticCustomError(*problem)
    return url


Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        pattern=r"^https?://[!-~]+$",
        description="An https URL. Its host must have public addresses only, which is checked for each message.",
        json_schema_extra={"format": "uri"},
    ),
    AfterValidator(_reachable),
]
Description = Annotated[str | None, Field(max_length=200)]
EventTypes = Annotated[
    list[Literal[TYPES]],  # type: ignore[valid-type]
    Field(
        min_length=1,
        description="The types that are sent. By default the ends of runs and of multi-runs, and what needs attention.",
    ),
]


class CreateEndpoint(Body):
    """A new webhook endpoint."""

    url: Url
    description: Description = None
    events: EventTypes | None = None
    format: Format = Field(Format.STANDARD, description="`standard` sends the event, `slack` a sentence for Slack.")


class UpdateEndpoint(Body):
    """Changes of a webhook endpoint. Absent fields stay as they are."""

    url: Url | None = None
    description: Description = None
    events: EventTypes | None = None
    format: Format | None = None
    enabled: bool | None = Field(
        None, description="False keeps all messages back: they are recorded as failed. True starts them again."
    )


class CreateDelivery(Body):
    """What to send: a test message, one earlier message, or all messages since a time."""

    message_id: str | None = Field(None, pattern=forms.WEBHOOK_MESSAGE, description="The message to send again.")
    since: datetime | None = Field(None, description="Send again what was created at this time or later.")


class EndpointCard(BaseModel):
    """A webhook endpoint, without its secret."""

    id: str
    organization_id: int
    url: str
    description: str | None = None
    events: list[str] = Field(description="The types that are sent.")
    format: Format
    enabled: bool
    disabled_reason: str | None = Field(None, description="Why this deployment disabled it; null if a caller did.")
    failing_since: str | None = Field(None, description="Since when it has taken no message.")
    created_at: str
    updated_at: str
    warnings: IgnoredFields = Field([])


class NewEndpoint(EndpointCard):
    """A webhook endpoint with its secret."""

    secret: str = Field(description="The secret of the signatures. It is shown only in this answer.")
    previous_secret_until: str | None = Field(None, description="Until when the earlier secret signs as well.")


class AttemptCard(BaseModel):
    """One try to deliver a message."""

    at: str
    status: int | None = Field(None, description="The HTTP status of the answer; null if there was none.")
    error: str | None = None
    milliseconds: int
    answer: str | None = Field(None, description="The beginning of the answer.")


class DeliveryCard(BaseModel):
    """A message to an endpoint, and the tries to deliver it."""

    message_id: str = Field(description="The header `webhook-id`, the same on every try.")
    type: str
    status: DeliveryStatus
    created_at: str
    next_attempt_at: str | None = None
    reason: str | None = Field(None, description="Why it failed.")
    attempts: list[AttemptCard]


class SentDeliveries(BaseModel):
    """The messages that were put into the queue."""

    message_ids: list[str]
    more: bool = Field(
        description="Whether further messages were created since that time: send again from the last one."
    )
    warnings: IgnoredFields = Field([])


def create(request: CreateEndpoint, *, org_id: int, caller: Caller, backend: Backend) -> NewEndpoint:
    """Create an endpoint with a new secret. Raises `TooManyEndpoints`, `StorageUnavailable`."""
    table, now = backend.webhook_endpoints, milliseconds(backend.clock.now())
    if len(table.of(org_id)) >= MOST_ENDPOINTS:
        raise TooManyEndpoints(f"This organization has {MOST_ENDPOINTS} webhook endpoints, and no more are allowed.")
    endpoint = Endpoint(
        org_id=org_id,
        id=f"we-{secrets.token_hex(8)}",
        url=request.url,
        description=request.description,
        events=tuple(request.events or ()),
        format=request.format,
        secret=_new_secret(),
        created_at=now,
        created_by=caller.id,
        updated_at=now,
    )
    table.add(endpoint)
    return NewEndpoint(**_members(endpoint), secret=endpoint.secret, warnings=request.ignored())


def listed(org_id: int, *, backend: Backend) -> cursors.CursorPage[EndpointCard]:
    """List the endpoints of an organization, oldest first, on one page. Raises `StorageUnavailable`."""
    found = list(map(card, backend.webhook_endpoints.of(org_id)))
    return cursors.CursorPage(items=found, has_more=False)


def find(org_id: int, endpoint_id: str, *, backend: Backend) -> Endpoint:
    """Read an endpoint. Raises `EndpointNotFound`, `StorageUnavailable`."""
    if endpoint := backend.webhook_endpoints.get(org_id, endpoint_id):
        return endpoint
    raise EndpointNotFound(endpoint_id)


def update(endpoint_id: str, request: UpdateEndpoint, *, org_id: int, backend: Backend) -> EndpointCard:
    """Change an endpoint. Raises `EndpointNotFound`, `StorageUnavailable`."""
    changes: dict[str, Any] = {
        name: value
        for name in ("url", "description", "events", "format")
        if name in request.model_fields_set and ((value := getattr(request, name)) is not None or name == "description")
    }

    def decide(endpoint: Endpoint, now: int) -> dict[str, Any]:
        if request.enabled is None or request.enabled is endpoint.is_enabled:
            return changes
        if request.enabled:
            return changes | {"disabled_at": None, "disabled_reason": None, "failing_since": None}
        return changes | {"disabled_at": now, "disabled_reason": None}

    endpoint = _change(endpoint_id, decide, org_id=org_id, backend=backend)
    return card(endpoint).model_copy(update={"warnings": request.ignored()})


def rotate_secret(endpoint_id: str, *, org_id: int, backend: Backend) -> NewEndpoint:
    """Give an endpoint a new secret. The earlier one signs as well for a day.

    Raises `EndpointNotFound`, `StorageUnavailable`.
    """
    secret = _new_secret()

    def decide(endpoint: Endpoint, now: int) -> dict[str, Any]:
        until = now + ROTATION_SECONDS * 1000
        return {"secret": secret, "previous_secret": endpoint.secret, "previous_until": until}

    endpoint = _change(endpoint_id, decide, org_id=org_id, backend=backend)
    return NewEndpoint(**_members(endpoint), secret=secret, previous_secret_until=_time(endpoint.previous_until))


def delete(endpoint_id: str, *, org_id: int, backend: Backend) -> None:
    """Delete an endpoint. Raises `EndpointNotFound`, `StorageUnavailable`."""
    find(org_id, endpoint_id, backend=backend)
    backend.webhook_endpoints.remove(org_id, endpoint_id)


def deliveries(
    endpoint_id: str, *, org_id: int, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[DeliveryCard]:
    """List the deliveries of an endpoint, newest first. Raises `EndpointNotFound`, `InvalidCursor`."""
    find(org_id, endpoint_id, backend=backend)
    listing = cursors.Listing.of(caller, "deliveries", org_id, endpoint_id)
    before = listing.position(cursor, str) if cursor else None
    found, position = backend.webhook_endpoints.deliveries(org_id, endpoint_id, limit, before)
    return listing.page(list(map(_delivery_card, found)), position)


def send(endpoint_id: str, request: CreateDelivery, *, org_id: int, backend: Backend) -> SentDeliveries:
    """Send a test message, an earlier message, or all messages since a time.

    Raises `EndpointNotFound`, `EndpointDisabled`, `DeliveryNotFound`, `Unprocessable`, `StorageUnavailable`.
    """
    if request.message_id is not None and request.since is not None:
        error = {
            "loc": ["body", "since"],
            "msg": "Input should have message_id or since, not both",
            "type": "exclusive",
        }
        raise Unprocessable(errors=[error])
    endpoint = find(org_id, endpoint_id, backend=backend)
    if not endpoint.is_enabled:
        raise EndpointDisabled(f"The webhook endpoint {endpoint_id} is disabled.")
    more = False
    if request.message_id is not None:
        repeated = [_delivery(endpoint, request.message_id, backend)]
    elif request.since is not None:
        since = request.since if request.since.tzinfo else request.since.replace(tzinfo=UTC)
        at = milliseconds(since.timestamp())
        found = backend.webhook_endpoints.deliveries_since(org_id, endpoint_id, at, MOST_REPLAYED + 1)
        repeated, more = list(found[:MOST_REPLAYED]), len(found) > MOST_REPLAYED
    else:
        return SentDeliveries(message_ids=[_ping(endpoint, backend)], more=False, warnings=request.ignored())
    for delivery in repeated:
        _repeat(delivery, backend)
    return SentDeliveries(message_ids=[each.id for each in repeated], more=more, warnings=request.ignored())


def card(endpoint: Endpoint) -> EndpointCard:
    """Return an endpoint as callers see it."""
    return EndpointCard(**_members(endpoint))


def _members(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "organization_id": endpoint.org_id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": list(endpoint.events or announcing.DEFAULT_EVENTS),
        "format": endpoint.format,
        "enabled": endpoint.is_enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": _time(endpoint.failing_since),
        "created_at": _time(endpoint.created_at),
        "updated_at": _time(endpoint.updated_at),
    }


def _delivery_card(delivery: Delivery) -> DeliveryCard:
    return DeliveryCard(
        message_id=delivery.id,
        type=delivery.type,
        status=delivery.status,
        created_at=timestamp(delivery.created_at / 1000),
        next_attempt_at=_time(delivery.next_attempt_at),
        reason=delivery.reason,
        attempts=[
            AttemptCard(**each.model_dump(exclude={"at"}), at=timestamp(each.at / 1000)) for each in delivery.attempts
        ],
    )


def _change(endpoint_id: str, decide: Any, *, org_id: int, backend: Backend) -> Endpoint:
    """Store what `decide` returns for an endpoint and the time. Raises `EndpointNotFound`, `StorageUnavailable`."""
    while True:
        endpoint = find(org_id, endpoint_id, backend=backend)
        now = milliseconds(backend.clock.now())
        try:
            return backend.webhook_endpoints.write(endpoint, **decide(endpoint, now), updated_at=now)
        except ConditionFailed:
            continue


def _delivery(endpoint: Endpoint, message_id: str, backend: Backend) -> Delivery:
    before: str | None = None
    while True:
        found, before = backend.webhook_endpoints.deliveries(endpoint.org_id, endpoint.id, 100, before)
        for delivery in found:
            if delivery.id == message_id:
                return delivery
        if before is None:
            raise DeliveryNotFound(f"The webhook endpoint was not sent the message {message_id}.")


def _repeat(delivery: Delivery, backend: Backend) -> None:
    if delivery.status is not DeliveryStatus.PENDING:
        try:
            backend.webhook_endpoints.write_delivery(
                delivery, status=DeliveryStatus.PENDING, earlier_attempts=len(delivery.attempts), reason=None
            )
        except ConditionFailed:
            return  # It is being sent again already.
    announcing.enqueue(delivery)


def _ping(endpoint: Endpoint, backend: Backend) -> str:
    now = backend.clock.now()
    data = {"organization_id": endpoint.org_id, "endpoint_id": endpoint.id}
    content = messages.message(messages.PING, timestamp(now), data)
    message_id = f"msg_ping_{secrets.token_hex(8)}"
    return announcing.send(endpoint, message_id, content, at=milliseconds(now), backend=backend).id


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _time(at: int | None) -> str | None:
    return None if at is None else timestamp(at / 1000)
