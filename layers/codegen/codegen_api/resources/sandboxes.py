"""Sandboxes: `api.sandboxes`."""

from .._core import Core
from .._ids import Id, as_id
from .._models import SandboxAnalysis
from .._protocol import Call
from .._resource import AsyncResource, Resource, awaitable, blocking


def analyze_logs(core: Core, sandbox_id: Id, *, org_id: Id | None = None) -> Call[SandboxAnalysis]:
    """Start a run that analyzes the setup log of a sandbox. Rate limit: 5 calls per minute."""
    return Call(
        "POST",
        f"/v1/organizations/{core.org(org_id)}/sandbox/{as_id(sandbox_id)}/analyze-logs",
        SandboxAnalysis.read,
    )


class SandboxesResource(Resource):
    """Sandboxes."""

    analyze_logs = blocking(analyze_logs)


class AsyncSandboxesResource(AsyncResource):
    """Sandboxes."""

    analyze_logs = awaitable(analyze_logs)
