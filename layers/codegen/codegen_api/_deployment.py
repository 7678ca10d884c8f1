"""Whom a client talks to: Codegen itself, or a deployment of Codegen Runs in front of it.

A deployment has everything that Codegen has at the same path, and more. Which it is, `GET /health` tells: a deployment
answers it with its name, and Codegen's documented API has no such path. It is asked once per client, before the first
thing that depends on it. Whatever is not a deployment's answer stands for Codegen; only a server that fails, or cannot
be reached, leaves the question open and raises.
"""

import json
import os

from ._core import Core
from ._errors import APIStatusError, InvalidResponseError, NotSupportedError, RateLimitError, ServerError
from ._protocol import Call, Flow

SERVICE = "codegen-runs"


def is_deployment(core: Core) -> Flow[bool]:
    """Tell whether the server is a deployment of Codegen Runs."""
    if core.memory.deployment is None:
        try:
            core.memory.deployment = yield Call("GET", "/health", _names_itself)
        except (RateLimitError, ServerError):
            raise
        except (APIStatusError, InvalidResponseError):
            core.memory.deployment = False
    return core.memory.deployment


def needs_deployment(core: Core, what: str) -> Flow[None]:
    """Go on only on a deployment. Raises `NotSupportedError`, which says what Codegen's own API lacks."""
    if not (yield from is_deployment(core)):
        raise NotSupportedError(
            f"{what}: Codegen's own API has no such operation; a deployment of Codegen Runs has (see base_url)"
        )


def new_key() -> str:
    """Make an idempotency key."""
    return os.urandom(16).hex()


def _names_itself(content: bytes) -> bool:
    try:
        answer = json.loads(content)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("service") == SERVICE
