"""Integrations: `api.integrations`."""

from .._core import Core
from .._ids import Id
from .._models import Integrations
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def list_(core: Core, *, org_id: Id | None = None) -> Call[Integrations]:
    """Read all integrations of an organization, which are not paged. Their metadata can contain secrets."""
    return Call("GET", f"/v1/organizations/{core.org(org_id)}/integrations", Integrations.read)


class IntegrationsResource(Resource):
    """Integrations."""

    list = blocking(list_)


class AsyncIntegrationsResource(AsyncResource):
    """Integrations."""

    list = awaitable(list_)
