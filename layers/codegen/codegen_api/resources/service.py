"""The deployment itself: `api.service`. Only a deployment has it."""

from typing import Any

from .._core import Core
from .._deployment import require_deployment
from .._deployment_models import Health
from .._flows import json_object, perform
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking

FEATURE = "descriptions of itself"


def health(core: Core) -> Flow[Health]:
    """Read the state and the version of the deployment."""
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("GET", "/health", Health.read)))


def openapi(core: Core) -> Flow[dict[str, Any]]:
    """Read the OpenAPI document of the deployment."""
    yield from require_deployment(core, FEATURE)
    return (yield from perform(Call("GET", "/openapi.json", json_object)))


class ServiceResource(Resource):
    """The deployment itself."""

    health = blocking(health)
    openapi = blocking(openapi)


class AsyncServiceResource(AsyncResource):
    """The deployment itself."""

    health = awaitable(health)
    openapi = awaitable(openapi)
