"""Turning the doorbell on and off, which sets the one webhook that an organization has at Codegen.

A webhook that is configured there is never replaced unasked. If an admin agrees, its calls are forwarded to it, and it
is restored when the doorbell is turned off. Codegen does not return the secret of a webhook. So the admin has to name
it: Codegen goes on to sign with it, and it is restored with the URL.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from codegen_api import WebhookConfig
from codegen_runs import settings
from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, IgnoredFields
from codegen_runs.clock import milliseconds
from codegen_runs.events import timestamp
from codegen_runs.problems import BadGateway, Conflict
from codegen_runs.storage.doorbells import Doorbell, Replaced
from codegen_runs.storage.table import ConditionFailed
from codegen_runs.webhook_endpoints import addresses

PATH = "/v1/doorbell/"


class WebhookExists(Conflict):
    """Another webhook is configured at Codegen, which has one place for it."""

    code = "webhook_exists"
    remedy = "Send forward: true to have its calls forwarded, or leave the doorbell off."


class WebhookSecretNeeded(Conflict):
    """The configured webhook has a secret, which Codegen does not return."""

    code = "webhook_secret_needed"
    remedy = "Send the secret of the configured webhook in secret."


class WebhookNotForwardable(Conflict):
    """Nothing can be forwarded to the configured webhook."""

    code = "webhook_not_forwardable"
    remedy = "Give the webhook an https URL on the internet, or leave the doorbell off."


class DoorbellUnreachable(Conflict):
    """Codegen cannot call this deployment."""

    code = "doorbell_unreachable"
    remedy = "Turn the doorbell on at an address on the internet."


class TurnOnDoorbell(Body):
    """How the doorbell is turned on."""

    forward: bool = Field(
        False, description="Whether another webhook at Codegen may be replaced, and its calls forwarded to it."
    )
    secret: Annotated[str | None, Field(min_length=1, max_length=1024)] = Field(
        None,
        description="The secret of that webhook, if it has one. Codegen goes on to sign with it, and it is restored.",
    )


class State(StrEnum):
    """Whether Codegen calls the doorbell."""

    OFF = "off"
    ON = "on"
    FORWARDING = "forwarding"
    CHANGED = "changed"


class ConfiguredWebhook(BaseModel):
    """A webhook, without its secret."""

    url: str
    enabled: bool
    has_secret: bool


class DoorbellCard(BaseModel):
    """The state of the doorbell, and the webhooks at Codegen that concern it."""

    organization_id: int
    state: State = Field(
        description="`on`: Codegen calls the doorbell. `forwarding`: its calls also go to `replaced`. `changed`: the "
        "webhook at Codegen was changed since, so Codegen does not call the doorbell."
    )
    webhook: ConfiguredWebhook | None = Field(
        None, description="What is configured at Codegen. Null if nothing is, or if it is the doorbell."
    )
    replaced: ConfiguredWebhook | None = Field(
        None, description="The webhook that the doorbell replaced. It is restored when the doorbell is turned off."
    )
    since: str | None = Field(None, description="When the doorbell was turned on.")
    warnings: IgnoredFields = Field([])


def read(org_id: int, *, backend: Backend) -> DoorbellCard:
    """Return the state of the doorbell. Raises `CodegenAPIError`, `BadGateway`, `StorageUnavailable`."""
    return _card(org_id, backend.doorbells.get(org_id), _configured(org_id, backend))


def turn_on(request: TurnOnDoorbell, *, org_id: int, address: str, backend: Backend) -> DoorbellCard:
    """Set the webhook at Codegen to the doorbell, unless it is. Return the state that this led to.

    The doorbell is stored first, with the webhook that it replaces. So if the answer of Codegen is lost, that webhook
    is known, and calls are forwarded.

    Args:
        request: Whether another webhook may be replaced.
        org_id: The organization.
        address: The address of the API, without a slash at its end.
        backend: The clock, the tables and the Codegen client.

    Raises:
        DoorbellUnreachable: Codegen cannot call this address.
        WebhookExists: Another webhook is configured, and the request does not allow to forward its calls.
        WebhookSecretNeeded: That webhook has a secret, and the request does not name it.
        WebhookNotForwardable: Nothing can be sent to that webhook.
        CodegenAPIError: Codegen failed or refused.
        BadGateway: The webhook that is configured cannot be read.
        StorageUnavailable: The table cannot be reached.
    """
    _check_reachable(address)
    while True:
        stored, found = backend.doorbells.get(org_id), _configured(org_id, backend)
        if stored and stored.is_open and _is_called(stored, found):
            return _card(org_id, stored, found).model_copy(update={"warnings": request.ignored()})
        key = stored.key if stored and stored.is_open else secrets.token_urlsafe(32)
        replaced = _replaced(request, stored, found, address)
        doorbell = Doorbell(
            org_id=org_id,
            key=key,
            url=f"{address}{PATH}{org_id}-{key}",
            replaced=replaced,
            rev=stored.rev if stored else 0,
        )
        try:
            doorbell = backend.doorbells.write(doorbell)
        except ConditionFailed:
            continue  # Another admin turns it on or off.
        backend.codegen.webhooks.set(doorbell.url, secret=replaced.secret if replaced else None, org_id=org_id)
        try:
            doorbell = backend.doorbells.write(
                doorbell.model_copy(update={"registered_at": milliseconds(backend.clock.now())})
            )
        except ConditionFailed:
            continue
        found = _configured(org_id, backend)
        return _card(org_id, doorbell, found).model_copy(update={"warnings": request.ignored()})


def turn_off(org_id: int, *, backend: Backend) -> DoorbellCard:
    """Restore the webhook that the doorbell replaced, or delete the doorbell at Codegen. Return the state then.

    A webhook that was set there since stays. The URL of the doorbell works for another hour.

    Raises `CodegenAPIError`, `BadGateway`, `StorageUnavailable`.
    """
    while True:
        stored, found = backend.doorbells.get(org_id), _configured(org_id, backend)
        if stored is None or not (stored.is_open or found.url == stored.url):
            return _card(org_id, stored, found)
        if found.url == stored.url:
            if (replaced := stored.replaced) is not None:
                backend.codegen.webhooks.set(
                    replaced.url, secret=replaced.secret, enabled=replaced.enabled, org_id=org_id
                )
            else:
                backend.codegen.webhooks.delete(org_id=org_id)
            found = _configured(org_id, backend)
        closed = stored.model_copy(update={"closed_at": milliseconds(backend.clock.now())})
        try:
            return _card(org_id, backend.doorbells.write(closed), found)
        except ConditionFailed:
            continue


def _replaced(request: TurnOnDoorbell, stored: Doorbell | None, found: WebhookConfig, address: str) -> Replaced | None:
    """Return the webhook that the doorbell is about to replace. Raises what `turn_on` raises about it."""
    if stored and found.url == stored.url:
        return stored.replaced  # The doorbell was disabled at Codegen, or turned off while it was turned on.
    # An earlier doorbell of this deployment, which does not work any more, is no webhook of anybody.
    if not found.url or found.url.startswith(address + PATH):
        return None
    if not request.forward:
        raise WebhookExists("The organization has a webhook at Codegen, which has one place for it.")
    if found.has_secret and request.secret is None:
        raise WebhookSecretNeeded("The webhook at Codegen has a secret, which Codegen does not return.")
    if found.enabled and addresses.refused(found.url, private=settings.private_webhooks()):
        raise WebhookNotForwardable("The URL of the webhook at Codegen is not one that calls can be forwarded to.")
    return Replaced(url=found.url, enabled=found.enabled, secret=request.secret if found.has_secret else None)


def _configured(org_id: int, backend: Backend) -> WebhookConfig:
    """Read the webhook at Codegen. Raises `BadGateway` if the answer does not show whether there is one."""
    found = backend.codegen.webhooks.get(org_id=org_id)
    if found.unreadable or "url" not in found.model_fields_set:
        raise BadGateway("The webhook at Codegen could not be read.", retryable=False)
    return found


def _check_reachable(address: str) -> None:
    """Refuse a local address, unless Codegen is a local one, too."""
    own, codegen = (urlsplit(each).hostname or "" for each in (address, settings.codegen_base_url()))
    if addresses.may_be_public(codegen) and not addresses.may_be_public(own):
        raise DoorbellUnreachable(f"Codegen cannot call {own}.")


def _is_called(doorbell: Doorbell, found: WebhookConfig) -> bool:
    return found.url == doorbell.url and found.enabled


def _card(org_id: int, doorbell: Doorbell | None, found: WebhookConfig) -> DoorbellCard:
    configured = (
        ConfiguredWebhook(url=found.url, enabled=found.enabled, has_secret=found.has_secret) if found.url else None
    )
    if doorbell is None or not doorbell.is_open:
        return DoorbellCard(organization_id=org_id, state=State.OFF, webhook=configured)
    replaced = doorbell.replaced
    if _is_called(doorbell, found):
        state = State.FORWARDING if replaced and replaced.enabled else State.ON
    else:
        state = State.OFF if doorbell.registered_at is None else State.CHANGED
    return DoorbellCard(
        organization_id=org_id,
        state=state,
        webhook=None if found.url == doorbell.url else configured,
        replaced=ConfiguredWebhook(url=replaced.url, enabled=replaced.enabled, has_secret=replaced.secret is not None)
        if replaced
        else None,
        since=None if doorbell.registered_at is None else timestamp(doorbell.registered_at / 1000),
    )
