"""Agents of a deployment, to start tasks with."""

from typing import Any, Generic, TypeVar, Unpack

from ._deployment_models import AgentProfile, AgentType
from ._docstrings import docstrings_from
from ._driver import AsyncDriver, Driver
from ._task import AsyncTask, Task
from ._task_flows import start
from ._task_state import RunOptions

D = TypeVar("D", Driver, AsyncDriver)


class _Agent(Generic[D]):
    """What the agents of both clients share."""

    _driver: D

    def __init__(self, driver: D, profile: AgentProfile, org_id: int) -> None:
        self._driver = driver
        self._org_id = org_id
        self.profile = profile

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.profile.id

    @property
    def name(self) -> str:
        """The name to show to people."""
        return self.profile.name

    @property
    def type(self) -> AgentType | str:
        """The type of the agent; a plain string if this client does not know the type."""
        known = {kind.value: kind for kind in AgentType}
        return known.get(self.profile.type, self.profile.type)

    @property
    def description(self) -> str | None:
        """The purpose of the agent."""
        return self.profile.description

    @property
    def configuration(self) -> dict[str, Any]:
        """A JSON object that is part of the instructions of each task."""
        return self.profile.configuration

    @property
    def system_prompt(self) -> str | None:
        """The instructions before the prompt of each task."""
        return self.profile.system_prompt

    @property
    def model(self) -> str | None:
        """The language model of its tasks; the organization's default if None."""
        return self.profile.model

    @property
    def repo_id(self) -> int | None:
        """The id of the repository for tasks that name none."""
        return self.profile.repo_id

    @property
    def tags(self) -> list[str]:
        """The tags to filter lists by."""
        return self.profile.tags or []

    @property
    def version(self) -> int | None:
        """The version number, which grows with each change."""
        return self.profile.version

    def _with_agent(self, options: RunOptions) -> RunOptions:
        completed = options.copy()
        completed.setdefault("org_id", self._org_id)
        completed["agent_id"] = self.id
        return completed

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, name={self.name!r})"


class Agent(_Agent[Driver]):
    """An agent of a blocking client."""

    def run_task(self, prompt: str, **options: Unpack[RunOptions]) -> Task:
        """Start a task with this agent. The options are those of `api.run_task`."""
        return Task(self._driver, self._driver.run(start(self._driver.core, prompt, **self._with_agent(options))))


@docstrings_from(Agent)
class AsyncAgent(_Agent[AsyncDriver]):
    """An agent of an asynchronous client."""

    async def run_task(self, prompt: str, **options: Unpack[RunOptions]) -> AsyncTask:
        """Start a task with this agent, as `Agent.run_task` does."""
        flow = start(self._driver.core, prompt, **self._with_agent(options))
        return AsyncTask(self._driver, await self._driver.run(flow))
