"""The usage of an organization: `api.usage`. Only a deployment has it."""

from datetime import date
from typing import TYPE_CHECKING

from .._core import Core
from .._deployment import require_deployment
from .._flows import perform
from .._ids import Id
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking
from ._dates import iso_8601

if TYPE_CHECKING:
    from .._usage_models import Usage


def get(
    core: Core,
    start_date: date | str | None = None,
    end_date: date | str | None = None,
    *,
    org_id: Id | None = None,
) -> "Flow[Usage]":
    """Read the usage of an organization between two dates, times or ISO 8601 texts.

    Times without a zone are in the zone of this machine. Raise NotSupportedError if the server is the Codegen API.
    """
    from .._usage_models import Usage

    yield from require_deployment(core, "the usage of an organization")
    params = {"start_date": iso_8601(start_date), "end_date": iso_8601(end_date)}
    path = f"/v1/organizations/{core.org(org_id)}/usage"
    return (yield from perform(Call("GET", path, Usage.read, params=params)))


class UsageResource(Resource):
    """The usage of an organization."""

    get = blocking(get)


class AsyncUsageResource(AsyncResource):
    """The usage of an organization."""

    get = awaitable(get)
