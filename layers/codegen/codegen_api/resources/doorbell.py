"""The doorbell of an organization: `api.doorbell`. Only a deployment has it."""

from typing import TYPE_CHECKING

from .._core import Core
from .._deployment import require_deployment
from .._flows import perform
from .._ids import Id
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking

if TYPE_CHECKING:
    from .._deployment_models import Doorbell


def get(core: Core, *, org_id: Id | None = None) -> "Flow[Doorbell]":
    """Read whether Codegen calls the doorbell when a run ends, and which other webhook is configured there.

    Raise NotSupportedError if the server is the Codegen API.
    """
    return (yield from _doorbell(core, "GET", org_id))


def turn_on(  # noqa: D417 - callers do not pass `core`
    core: Core, *, forward: bool = False, secret: str | None = None, org_id: Id | None = None
) -> "Flow[Doorbell]":
    """Have Codegen call the doorbell, so that a deployment reads a run as soon as it ends.

    Args:
        forward: Whether another webhook at Codegen may be replaced, and its calls forwarded to it. Without it, the
            answer to an organization with another webhook is a ConflictError.
        secret: The secret of that webhook, if it has one.
        org_id: The organization. If None: the client's default.
    """
    body = {"forward": forward, "secret": secret}
    return (yield from _doorbell(core, "PUT", org_id, {name: each for name, each in body.items() if each is not None}))


def turn_off(core: Core, *, org_id: Id | None = None) -> "Flow[Doorbell]":
    """Restore the webhook that the doorbell replaced, or delete the doorbell at Codegen."""
    return (yield from _doorbell(core, "DELETE", org_id))


def _doorbell(core: Core, method: str, org_id: Id | None, body: dict[str, object] | None = None) -> "Flow[Doorbell]":
    from .._deployment_models import Doorbell

    path = f"/v1/organizations/{core.org(org_id)}/doorbell"
    yield from require_deployment(core, "the doorbell")
    return (yield from perform(Call(method, path, Doorbell.read, body=body)))


class DoorbellResource(Resource):
    """The doorbell of an organization."""

    get = blocking(get)
    turn_on = blocking(turn_on)
    turn_off = blocking(turn_off)


class AsyncDoorbellResource(AsyncResource):
    """The doorbell of an organization."""

    get = awaitable(get)
    turn_on = awaitable(turn_on)
    turn_off = awaitable(turn_off)
