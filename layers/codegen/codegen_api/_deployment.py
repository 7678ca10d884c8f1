"""Which server a client talks to: the Codegen API, or a deployment of Codegen Runs in front of it.

A deployment has every operation of the Codegen API at the same path, and more. `GET /health` tells them apart: a
deployment answers with its name, and the documented Codegen API has no such path. The client sends this request once,
before the first operation that depends on it. Any other response than a deployment's means the Codegen API. If the
server fails or cannot be reached, the request raises an exception, and the client sends it again next time.
"""

import json
import os

from ._core import Core
from ._errors import APIStatusError, InvalidResponseError, NotSupportedError, RateLimitError, ServerError
from ._protocol import Call, Flow

SERVICE = "codegen-runs"


def is_deployment(core: Core) -> Flow[bool]:
    """Return whether the server is a deployment of Codegen Runs."""
    if core.state.deployment is None:
        try:
            core.state.deployment = yield Call("GET", "/health", _is_deployment_health)
        except (RateLimitError, ServerError):
            raise
        except (APIStatusError, InvalidResponseError):
            core.state.deployment = False
    return core.state.deployment


def require_deployment(core: Core, feature: str) -> Flow[None]:
    """Raise `NotSupportedError`, which names the feature, unless the server is a deployment."""
    if not (yield from is_deployment(core)):
        raise NotSupportedError(
            f"the Codegen API does not support {feature}: set base_url to a deployment of Codegen Runs"
        )


def new_idempotency_key() -> str:
    """Make an idempotency key."""
    return os.urandom(16).hex()


def _is_deployment_health(content: bytes) -> bool:
    try:
        health = json.loads(content)
    except ValueError:
        return False
    return isinstance(health, dict) and health.get("service") == SERVICE
