"""Setup commands: `api.setup_commands`."""

from .._core import Core
from .._ids import Id, as_id
from .._models import SetupCommands
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def generate(  # noqa: D417 - callers do not pass `core`
    core: Core,
    repo_id: Id,
    prompt: str | None = None,
    trigger_source: str | None = None,
    *,
    org_id: Id | None = None,
) -> Call[SetupCommands]:
    """Start a run that finds the setup commands of a repository; they are in its result.

    Rate limit: 5 calls per minute.

    Args:
        repo_id: The repository.
        prompt: Additional instructions.
        trigger_source: The source to record for the run. If None, Codegen records `setup-commands`.
        org_id: The organization. If None: the client's default.
    """
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/setup-commands/generate",
        SetupCommands.read,
        body={"repo_id": as_id(repo_id), "prompt": prompt, "trigger_source": trigger_source},
    )


class SetupCommandsResource(Resource):
    """Setup commands."""

    generate = blocking(generate)


class AsyncSetupCommandsResource(AsyncResource):
    """Setup commands."""

    generate = awaitable(generate)
