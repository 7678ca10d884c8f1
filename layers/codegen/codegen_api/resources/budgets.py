"""The budgets of an organization: `api.budgets`. Only a deployment has them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .._core import Core
from .._deployment import require_deployment
from .._flows import perform
from .._ids import Id
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking

if TYPE_CHECKING:
    from .._usage_models import Budgets


def get(core: Core, *, org_id: Id | None = None) -> "Flow[Budgets]":
    """Read the budgets of an organization, and what is used of them.

    Raise NotSupportedError if the server is the Codegen API.
    """
    from .._usage_models import Budgets

    yield from require_deployment(core, "budgets")
    return (yield from perform(Call("GET", _path(core, org_id), Budgets.read)))


def set_(
    core: Core,
    organization: Mapping[str, int | None] | None = None,
    caller: Mapping[str, int | None] | None = None,
    *,
    org_id: Id | None = None,
) -> "Flow[Budgets]":
    """Replace the budgets of an organization: limits by name, of all callers together and of each caller.

    A limit that is not given does not apply. Raise NotSupportedError if the server is the Codegen API.
    """
    from .._usage_models import Budgets

    yield from require_deployment(core, "budgets")
    body = {"organization": dict(organization or {}), "caller": dict(caller or {})}
    return (yield from perform(Call("PUT", _path(core, org_id), Budgets.read, body=body)))


def _path(core: Core, org_id: Id | None) -> str:
    return f"/v1/organizations/{core.org(org_id)}/budgets"


class BudgetsResource(Resource):
    """The budgets of an organization."""

    get = blocking(get)
    set = blocking(set_)


class AsyncBudgetsResource(AsyncResource):
    """The budgets of an organization."""

    get = awaitable(get)
    set = awaitable(set_)
