"""Webhooks in arguments."""

from typing import Any

from .._models import Webhook, Webhooks


def webhook_bodies(webhooks: Webhooks | None) -> list[dict[str, Any]] | None:
    """Return webhooks as JSON objects."""
    if webhooks is None:
        return None
    return [hook.model_dump() if isinstance(hook, Webhook) else dict(hook) for hook in webhooks]
