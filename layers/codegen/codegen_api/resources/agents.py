"""Agents: `api.agents`. A deployment has them; Codegen itself does not."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._agent import Agent, AsyncAgent
from .._core import Core
from .._deployment import needs_deployment, new_key
from .._deployment_models import AgentProfile, AgentType, CursorPage
from .._flows import do, gather_by_cursor
from .._ids import Id, as_id, as_name
from .._protocol import Call, Flow
from .._resource import AsyncResource, Resource, awaitable, blocking

WHAT = "agents"

Found = tuple[AgentProfile, int]
"""An agent, and the organization it is of."""


def list_agents(core: Core, *, tag: str | None = None, org_id: Id | None = None) -> Flow[list[Found]]:
    """List all agents of an organization, newest first; those with a tag, if one is named."""
    yield from needs_deployment(core, WHAT)
    org = core.org(org_id)

    def page(cursor: str | None) -> "Call[CursorPage[AgentProfile]]":
        params = {"tag": tag, "limit": 100, "cursor": cursor}
        return Call(
            "GET",
            f"/v1/organizations/{org}/agents",
            CursorPage[AgentProfile].model_validate_json,
            params=params,
        )

    profiles = yield from gather_by_cursor(page)
    return [(profile, org) for profile in profiles]


def get_agent(core: Core, agent_id: str, *, version: int | None = None, org_id: Id | None = None) -> Flow[Found]:
    """Read an agent, as it is or as it was in one version."""
    yield from needs_deployment(core, WHAT)
    org = core.org(org_id)
    read = AgentProfile.model_validate_json
    return (yield from do(Call("GET", _path(org, agent_id), read, params={"version": version}))), org


def create_agent(  # noqa: D417 - a caller never sees `core`
    core: Core,
    name: str,
    agent_type: AgentType | str = AgentType.GENERAL,
    description: str | None = None,
    configuration: Mapping[str, Any] | None = None,
    *,
    agent_id: str | None = None,
    system_prompt: str | None = None,
    model: str | None = None,
    repo_id: Id | None = None,
    tags: Sequence[str] | None = None,
    org_id: Id | None = None,
) -> Flow[Found]:
    """Create an agent.

    Args:
        name: What people call it.
        agent_type: What it is good at.
        description: What it is for.
        configuration: Any JSON object; told to it with each task.
        agent_id: How tasks name it, such as `reviewer`; one is made if None.
        system_prompt: Told to it before each task.
        model: The language model of its tasks.
        repo_id: Where it works if a task names no repository.
        tags: By which lists are filtered.
        org_id: The organization; the client's if None.

    Raises:
        ConflictError: There is an agent with this id.
        NotSupportedError: The server is Codegen itself.
    """
    yield from needs_deployment(core, WHAT)
    org = core.org(org_id)
    body = {"id": agent_id, "name": name, "type": str(agent_type)}
    body |= _given(description, configuration, system_prompt, model, repo_id, tags)
    path = f"/v1/organizations/{org}/agents"
    call = Call("POST", path, AgentProfile.model_validate_json, body=body, idempotency_key=new_key())
    return (yield from do(call)), org


def update_agent(
    core: Core,
    agent_id: str,
    *,
    name: str | None = None,
    agent_type: AgentType | str | None = None,
    description: str | None = None,
    configuration: Mapping[str, Any] | None = None,
    system_prompt: str | None = None,
    model: str | None = None,
    repo_id: Id | None = None,
    tags: Sequence[str] | None = None,
    version: int | None = None,
    org_id: Id | None = None,
) -> Flow[Found]:
    """Change what is given of an agent, by a new version; configuration and tags are replaced whole.

    With `version`, the change is refused with ConflictError if somebody else has changed the agent since.
    """
    yield from needs_deployment(core, WHAT)
    org = core.org(org_id)
    body = {"version": version, "name": name, "type": agent_type and str(agent_type)}
    body |= _given(description, configuration, system_prompt, model, repo_id, tags)
    call = Call("PATCH", _path(org, agent_id), AgentProfile.model_validate_json, body=body)
    return (yield from do(call)), org


def delete_agent(core: Core, agent_id: str, *, org_id: Id | None = None) -> Flow[None]:
    """Delete an agent. Its versions stay readable for the tasks that name them."""
    yield from needs_deployment(core, WHAT)
    yield Call("DELETE", _path(core.org(org_id), agent_id), _nothing)


def _given(
    description: str | None,
    configuration: Mapping[str, Any] | None,
    system_prompt: str | None,
    model: str | None,
    repo_id: Id | None,
    tags: Sequence[str] | None,
) -> dict[str, Any]:
    return {
        "description": description,
        "configuration": configuration,
        "system_prompt": system_prompt,
        "model": model,
        "repo_id": None if repo_id is None else as_id(repo_id),
        "tags": None if tags is None else list(tags),
    }


def _path(org_id: int, agent_id: str) -> str:
    return f"/v1/organizations/{org_id}/agents/{as_name(agent_id)}"


def _nothing(_content: bytes) -> None:
    return None


def _bound(driver: Any, found: Found) -> Agent:
    return Agent(driver, *found)


def _bound_async(driver: Any, found: Found) -> AsyncAgent:
    return AsyncAgent(driver, *found)


class AgentsResource(Resource):
    """Agents."""

    list_agents = blocking(list_agents, lambda driver, found: [Agent(driver, *each) for each in found])
    get_agent = blocking(get_agent, _bound)
    create_agent = blocking(create_agent, _bound)
    update_agent = blocking(update_agent, _bound)
    delete_agent = blocking(delete_agent)


class AsyncAgentsResource(AsyncResource):
    """Agents."""

    list_agents = awaitable(list_agents, lambda driver, found: [AsyncAgent(driver, *each) for each in found])
    get_agent = awaitable(get_agent, _bound_async)
    create_agent = awaitable(create_agent, _bound_async)
    update_agent = awaitable(update_agent, _bound_async)
    delete_agent = awaitable(delete_agent)
