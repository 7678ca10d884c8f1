"""Rate limits and the launch queue: `api.rate_limits`. Only a deployment has them."""

from .._core import Core
from .._deployment import require_deployment
from .._deployment_models import RateLimits
from .._flows import perform
from .._ids import Id
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking


def get(core: Core, *, org_id: Id | None = None) -> Flow[RateLimits]:
    """Read how many calls of the Codegen API remain, and which runs wait to start."""
    yield from require_deployment(core, "rate limits")
    path = f"/v1/organizations/{core.org(org_id)}/rate-limits"
    return (yield from perform(Call("GET", path, RateLimits.read)))


class RateLimitsResource(Resource):
    """Rate limits and the launch queue."""

    get = blocking(get)


class AsyncRateLimitsResource(AsyncResource):
    """Rate limits and the launch queue."""

    get = awaitable(get)
