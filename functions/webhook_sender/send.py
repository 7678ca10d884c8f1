"""Deliver the messages in the queue to webhook endpoints, and forward the calls of Codegen's webhook.

The queue repeats a message that is reported as failed.
"""

import json
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook

from codegen_runs import settings
from codegen_runs.backend import Backend
from codegen_runs.webhook_endpoints import announcing, forwarding
from codegen_runs.webhook_endpoints.addresses import CheckedBackend, is_public
from codegen_runs.webhook_endpoints.delivering import Deliverer
from codegen_runs.webhook_endpoints.posting import Poster

backend = Backend()


def handler(event: dict[str, Any], _context: object, backend: Backend = backend) -> dict[str, Any]:
    """Handle a batch of messages."""
    allowed = _any if settings.private_webhooks() else is_public
    post = Poster(CheckedBackend(allowed))
    deliverer = Deliverer(backend, post, _signature)
    failed = []
    for record in event["Records"]:
        message = json.loads(record["body"])
        if "forward" in message:
            received = int(record["attributes"]["ApproximateReceiveCount"])
            delay = forwarding.send(message["forward"], received, post=post)
        else:
            delay = deliverer.deliver(**message)
        if delay is not None:
            announcing.postpone(record["receiptHandle"], delay)
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def _signature(secret: str, message_id: str, at: datetime, body: str) -> str:
    return Webhook(secret).sign(message_id, at, body)


def _any(_address: str) -> bool:
    return True
