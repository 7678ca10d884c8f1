"""Agents: `api.agents`. Only a deployment has them."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._agent import Agent, AsyncAgent
from .._core import Core
from .._deployment import new_idempotency_key, require_deployment
from .._deployment_models import AgentProfile, AgentType, CursorPage
from .._flows import perform, read_list
from .._ids import Id, as_id, as_name
from .._pagination import PAGE_SIZE, Listing, by_cursor
from .._protocol import Call, Flow, no_content
from .._resource import AsyncResource, Resource, async_listing, awaitable, blocking, listing

FEATURE = "agents"

OwnedAgent = tuple[AgentProfile, int]
"""An agent, and the id of its organization."""


def profiles(
    core: Core, *, tag: str | None = None, limit: int = PAGE_SIZE, org_id: Id | None = None
) -> Listing[AgentProfile, CursorPage[AgentProfile]]:
    """List the agents of an organization, or those with a tag, newest first. `limit` is the size of a page."""
    path, read = f"/v1/organizations/{core.org(org_id)}/agents", CursorPage[AgentProfile].read
    params = {"tag": tag, "limit": limit}
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={**params, "cursor": cursor}))


def versions(
    core: Core, agent_id: str, *, limit: int = 50, org_id: Id | None = None
) -> Listing[AgentProfile, CursorPage[AgentProfile]]:
    """List the versions of an agent, latest first. `limit` is the size of a page."""
    path, read = f"{_path(core.org(org_id), agent_id)}/versions", CursorPage[AgentProfile].read
    return by_cursor(FEATURE, lambda cursor: Call("GET", path, read, params={"cursor": cursor, "limit": limit}))


def list_agents(core: Core, *, tag: str | None = None, org_id: Id | None = None) -> Flow[list[OwnedAgent]]:
    """Read all agents of an organization, or those with a tag, newest first. They can run tasks."""
    org = core.org(org_id)
    return [(profile, org) for profile in (yield from read_list(core, profiles(core, tag=tag, org_id=org)))]


def get_agent(core: Core, agent_id: str, *, version: int | None = None, org_id: Id | None = None) -> Flow[OwnedAgent]:
    """Read an agent: its latest version, or the given one."""
    yield from require_deployment(core, FEATURE)
    org = core.org(org_id)
    read = AgentProfile.read
    return (yield from perform(Call("GET", _path(org, agent_id), read, params={"version": version}))), org


def create_agent(  # noqa: D417 - callers do not pass `core`
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
) -> Flow[OwnedAgent]:
    """Create an agent.

    Args:
        name: The name to show to people.
        agent_type: The type of work that the agent is made for.
        description: The purpose of the agent.
        configuration: Any JSON object. It is part of the instructions of each task.
        agent_id: The id to start tasks with, such as `reviewer`. If None, the deployment makes one.
        system_prompt: The instructions before the prompt of each task.
        model: The language model of its tasks.
        repo_id: The repository for tasks that name none.
        tags: The tags to filter lists by.
        org_id: The organization. If None: the client's default.

    Raises:
        ConflictError: An agent with this id exists already.
        NotSupportedError: The server is the Codegen API.
    """
    yield from require_deployment(core, FEATURE)
    org = core.org(org_id)
    body = {"id": agent_id, "name": name, "type": str(agent_type)}
    body |= _fields(description, configuration, system_prompt, model, repo_id, tags)
    path = f"/v1/organizations/{org}/agents"
    call = Call("POST", path, AgentProfile.read, body=body, idempotency_key=new_idempotency_key())
    return (yield from perform(call)), org


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
) -> Flow[OwnedAgent]:
    """Change an agent, which makes a new version of it. What is None stays; configuration and tags are replaced.

    With `version`, a change of another version than the latest raises ConflictError. So no change of somebody else is
    lost.
    """
    yield from require_deployment(core, FEATURE)
    org = core.org(org_id)
    body = {"version": version, "name": name, "type": agent_type and str(agent_type)}
    body |= _fields(description, configuration, system_prompt, model, repo_id, tags)
    call = Call("PATCH", _path(org, agent_id), AgentProfile.read, body=body)
    return (yield from perform(call)), org


def delete_agent(core: Core, agent_id: str, *, org_id: Id | None = None) -> Flow[None]:
    """Delete an agent. Its versions stay readable, for the tasks that used them."""
    yield from require_deployment(core, FEATURE)
    yield Call("DELETE", _path(core.org(org_id), agent_id), no_content)


def _fields(
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


def _bind(driver: Any, agent: OwnedAgent) -> Agent:
    return Agent(driver, *agent)


def _bind_all(driver: Any, agents: list[OwnedAgent]) -> list[Agent]:
    return [Agent(driver, *agent) for agent in agents]


def _bind_async(driver: Any, agent: OwnedAgent) -> AsyncAgent:
    return AsyncAgent(driver, *agent)


def _bind_all_async(driver: Any, agents: list[OwnedAgent]) -> list[AsyncAgent]:
    return [AsyncAgent(driver, *agent) for agent in agents]


class AgentsResource(Resource):
    """Agents."""

    list = listing(profiles)
    versions = listing(versions)
    list_agents = blocking(list_agents, _bind_all)
    get_agent = blocking(get_agent, _bind)
    create_agent = blocking(create_agent, _bind)
    update_agent = blocking(update_agent, _bind)
    delete_agent = blocking(delete_agent)
    get = get_agent
    create = create_agent
    update = update_agent
    delete = delete_agent


class AsyncAgentsResource(AsyncResource):
    """Agents."""

    list = async_listing(profiles)
    versions = async_listing(versions)
    list_agents = awaitable(list_agents, _bind_all_async)
    get_agent = awaitable(get_agent, _bind_async)
    create_agent = awaitable(create_agent, _bind_async)
    update_agent = awaitable(update_agent, _bind_async)
    delete_agent = awaitable(delete_agent)
    get = get_agent
    create = create_agent
    update = update_agent
    delete = delete_agent
