"""Setup commands: `api.setup_commands`."""

from .._core import Core
from .._ids import Id, as_id
from .._models import SetupCommands
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def generate(  # noqa: D417 - a caller never sees `core`
    core: Core,
    repo_id: Id,
    prompt: str | None = None,
    trigger_source: str | None = None,
    *,
    org_id: Id | None = None,
) -> Call[SetupCommands]:
    """Start a run that works out a repository's setup commands; they are in its result. 5 calls in a minute.

    Args:
        repo_id: The repository.
        prompt: What to pay attention to.
        trigger_source: Who asks; the upstream writes `setup-commands` if None.
        org_id: The organization; the client's if None.
    """
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/setup-commands/generate",
        SetupCommands.model_validate_json,
        body={"repo_id": as_id(repo_id), "prompt": prompt, "trigger_source": trigger_source},
    )


class SetupCommandsResource(Resource):
    """Setup commands."""

    generate = blocking(generate)


class AsyncSetupCommandsResource(AsyncResource):
    """Setup commands."""

    generate = awaitable(generate)
