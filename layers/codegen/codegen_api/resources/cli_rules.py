"""Rules for command line tools: `api.cli_rules`."""

from .._core import Core
from .._ids import Id
from .._models import CliRules
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def get(core: Core, *, org_id: Id | None = None) -> Call[CliRules]:
    """Read the rules of an organization and the prompt of the current user, for agents that a command line tool runs.

    Rate limit: 30 calls per minute.
    """
    return Call("GET", f"/v1/organizations/{core.org(org_id)}/cli/rules", CliRules.read)


class CliRulesResource(Resource):
    """Rules for command line tools."""

    get = blocking(get)


class AsyncCliRulesResource(AsyncResource):
    """Rules for command line tools."""

    get = awaitable(get)
