"""Language models: `api.models`."""

from .._core import Core
from .._ids import Id
from .._models import Models
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def list_(core: Core, *, org_id: Id | None = None) -> Call[Models]:
    """Read the language models that an organization can use, by provider.

    The source for this operation is an unofficial OpenAPI document of 2026-02.
    """
    return Call("GET", f"/v1/organizations/{core.org(org_id)}/models", Models.read)


class ModelsResource(Resource):
    """Language models."""

    list = blocking(list_)


class AsyncModelsResource(AsyncResource):
    """Language models."""

    list = awaitable(list_)
