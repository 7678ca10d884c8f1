"""The health check of a client: whether it can use the API, and as which user."""

from typing import Any

from ._core import Core
from ._deployment import is_deployment
from ._errors import CodegenAPIError
from ._flows import perform
from ._protocol import Flow
from .resources import users


def check_health(core: Core) -> Flow[dict[str, Any]]:
    """Return whether the API can be used, and as which user. Raise nothing."""
    health: dict[str, Any] = {"status": "unhealthy", "org_id": core.org_id, "base_url": core.base_url}
    try:
        user = yield from perform(users.me(core))
        deployment = yield from is_deployment(core)
    except CodegenAPIError as error:
        return health | {"error": str(error), "status_code": error.status_code}
    return health | {"status": "healthy", "user_id": user.id, "deployment": deployment}
