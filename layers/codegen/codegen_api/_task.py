"""Tasks: agent runs to start, to wait for and to read the result of."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ._docstrings import docstrings_from
from ._driver import AsyncDriver, Driver
from ._events import Event
from ._models import PullRequest, Webhooks
from ._pagination import AsyncPagedList, PagedList
from ._settings import POLL_INTERVAL, TASK_TIMEOUT
from ._statuses import RunStatus
from ._streams import AsyncStream, Stream
from ._task_events import task_events
from ._task_flows import cancel, follow_up, fork, pause, refresh, resume, wait
from ._task_state import TaskState

if TYPE_CHECKING:
    from ._deployment_models import Checkpoint, CursorPage
    from ._events import EventPage

D = TypeVar("D", Driver, AsyncDriver)


class _Task(Generic[D]):
    """What the tasks of both clients share: everything that needs no request."""

    _driver: D

    def __init__(self, driver: D, state: TaskState) -> None:
        self._driver = driver
        self._state = state

    @property
    def id(self) -> int:
        """The id of the agent run."""
        return self._state.id

    @property
    def status(self) -> RunStatus:
        """The status of the task when it was last refreshed."""
        return self._state.status

    @property
    def raw_status(self) -> str | None:
        """The status as the server returned it."""
        return self._state.raw_status

    @property
    def prompt(self) -> str | None:
        """The prompt of the task; None if unknown, because the Codegen API does not return it."""
        return self._state.prompt

    @property
    def result(self) -> str | None:
        """The answer in Markdown; None until the task ends."""
        return self._state.result

    @property
    def summary(self) -> str | None:
        """A short text about what the agent did, if there is one."""
        return self._state.summary

    @property
    def error(self) -> str | None:
        """Why the task failed; None unless it failed."""
        return self._state.error if self.is_failed() else None

    @property
    def created_at(self) -> datetime | None:
        """Time of creation, in UTC."""
        return self._state.created_at

    @property
    def updated_at(self) -> datetime | None:
        """Time of the last change, in UTC; None if unknown, because the Codegen API does not return it."""
        return self._state.updated_at

    @property
    def progress(self) -> int | None:
        """Percentage: 0 before the task starts, 100 after it completed, else None, because agents do not report it."""
        if self.status in (RunStatus.QUEUED, RunStatus.LAUNCHING):
            return 0
        return 100 if self.is_successful() else None

    @property
    def web_url(self) -> str | None:
        """The web page of the task."""
        return self._state.web_url

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The metadata that the task was created with."""
        return self._state.metadata

    @property
    def pull_requests(self) -> list[PullRequest]:
        """The pull requests that the agent opened."""
        return self._state.pull_requests

    def is_complete(self) -> bool:
        """Return whether the task has ended, successfully or not."""
        return self.status.final

    def is_successful(self) -> bool:
        """Return whether the task has completed successfully."""
        return self.status is RunStatus.COMPLETED

    def is_failed(self) -> bool:
        """Return whether the task has ended without success. A cancelled task has not failed."""
        return self.status.failed

    def __str__(self) -> str:
        text = (self.prompt or self.summary or self.result or "").strip().partition("\n")[0]
        return "  ".join(filter(None, (str(self.id), self.status.value, text[:100])))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id}, status={self.status.value!r})"


class Task(_Task[Driver]):
    """A task of a blocking client."""

    def refresh(self) -> Self:
        """Read the task from the server again."""
        self._driver.run(refresh(self._driver.core, self._state))
        return self

    def wait_for_completion(self, timeout: float | None = TASK_TIMEOUT, poll_interval: float = POLL_INTERVAL) -> Self:
        """Wait until the task ends.

        Args:
            timeout: Seconds to wait; None for no limit.
            poll_interval: Seconds between two polls.

        Raises:
            TaskTimeoutError: The task has not ended in time. It continues, and you can wait for it again.
        """
        self._driver.run(wait(self._driver.core, self._state, timeout, poll_interval))
        return self

    def cancel(self, *, allow_pr_ban: bool = False, reason: str | None = None) -> Self:
        """Cancel the task. This has no effect on a task that has ended.

        A deployment cancels a task that is still waiting to start at once. The only way to stop a running agent is to
        ban its pull request. A ban also stops every other agent on the pull request and mutes its checks, so it needs
        `allow_pr_ban=True`. With the Codegen API, every cancel is a ban.

        Args:
            allow_pr_ban: Whether the pull request may be banned.
            reason: A reason that a deployment keeps with the task.

        Raises:
            ConflictError: The task is running on a deployment, and `allow_pr_ban` is False.
            NotSupportedError: The server is the Codegen API, and `allow_pr_ban` is False.
        """
        self._driver.run(cancel(self._driver.core, self._state, allow_pr_ban, reason))
        return self

    def stream(self, *, after: str | None = None, poll_interval: float = POLL_INTERVAL) -> Stream[Event]:
        """Iterate over the events of the task until it ends, from the first event or from the one after `after`.

        After a broken connection the stream continues where it was, so each event is returned exactly once. The type
        of the last event tells how the task ended. `with task.stream() as events:` ends the stream early.

        Args:
            after: The `id` of an event. The stream starts with the event that follows it.
            poll_interval: Seconds between two polls of the Codegen API. A deployment needs no interval: it holds each
                request until there are new events.
        """
        return Stream(self._driver.follow(task_events(self._driver.core, self._state, after, poll_interval)))

    def pause(self) -> Self:
        """Pause the task: nothing further is sent to it. An agent that works continues. Needs a deployment."""
        self._driver.run(pause(self._driver.core, self._state))
        return self

    def resume(self) -> Self:
        """End the pause of the task. Needs a deployment."""
        self._driver.run(resume(self._driver.core, self._state))
        return self

    def follow_up(
        self,
        prompt: str,
        *,
        images: Sequence[str] | None = None,
        model: str | None = None,
        webhooks: Webhooks | None = None,
    ) -> Self:
        """Send a follow-up prompt to the task, which continues under the same id. Its options are those of a start."""
        self._driver.run(
            follow_up(self._driver.core, self._state, prompt, images=images, model=model, webhooks=webhooks)
        )
        return self

    def checkpoints(self) -> "PagedList[Checkpoint, CursorPage[Checkpoint]]":
        """List the checkpoints of the task. Needs a deployment."""
        from .resources.checkpoints import list_

        return PagedList(self._driver, list_(self._driver.core, self.id, org_id=self._state.org_id))

    def fork(
        self,
        *,
        checkpoint_id: str | None = None,
        prompt: str | None = None,
        system_prompt: str | None = None,
        model: str | None = None,
    ) -> "Task":
        """Start a new task from a checkpoint of this one, by default from the latest one. Needs a deployment.

        The new task gets the conversation up to there, with what you change. Files are not copied. If this task has
        ended, the latest checkpoint is that of its end, which a deployment may make a moment later: this waits for it.
        A task without a checkpoint gets one.

        Args:
            checkpoint_id: The checkpoint, from `checkpoints`.
            prompt: The next prompt, instead of the last one of the conversation.
            system_prompt: Instructions, instead of those of the agent.
            model: The language model.

        Raises:
            TaskTimeoutError: The deployment has not made the checkpoint of the task's end within a minute.
        """
        changes = {"prompt": prompt, "system_prompt": system_prompt, "model": model}
        return Task(self._driver, self._driver.run(fork(self._driver.core, self._state, checkpoint_id, **changes)))

    def events(self, *, after: str | None = None) -> "PagedList[Event, EventPage]":
        """List the events so far, from the first one or from the one after `after`. Needs a deployment.

        `stream` waits for further events, and works with every server.
        """
        from .resources.runs import events

        return PagedList(self._driver, events(self._driver.core, self.id, after=after, org_id=self._state.org_id))


@docstrings_from(Task)
class AsyncTask(_Task[AsyncDriver]):
    """A task of an asynchronous client. It has the methods of `Task`."""

    async def refresh(self) -> Self:
        """Read the task again, as `Task.refresh` does."""
        await self._driver.run(refresh(self._driver.core, self._state))
        return self

    async def wait_for_completion(
        self, timeout: float | None = TASK_TIMEOUT, poll_interval: float = POLL_INTERVAL
    ) -> Self:
        """Wait until the task ends, as `Task.wait_for_completion` does."""
        await self._driver.run(wait(self._driver.core, self._state, timeout, poll_interval))
        return self

    async def cancel(self, *, allow_pr_ban: bool = False, reason: str | None = None) -> Self:
        """Cancel the task, as `Task.cancel` does."""
        await self._driver.run(cancel(self._driver.core, self._state, allow_pr_ban, reason))
        return self

    def stream(self, *, after: str | None = None, poll_interval: float = POLL_INTERVAL) -> AsyncStream[Event]:
        """Iterate over the events of the task, as `Task.stream` does."""
        return AsyncStream(self._driver.follow(task_events(self._driver.core, self._state, after, poll_interval)))

    async def pause(self) -> Self:
        """Pause the task: nothing further is sent to it. An agent that works continues. Needs a deployment."""
        await self._driver.run(pause(self._driver.core, self._state))
        return self

    async def resume(self) -> Self:
        """End the pause of the task. Needs a deployment."""
        await self._driver.run(resume(self._driver.core, self._state))
        return self

    async def follow_up(
        self,
        prompt: str,
        *,
        images: Sequence[str] | None = None,
        model: str | None = None,
        webhooks: Webhooks | None = None,
    ) -> Self:
        """Send a follow-up prompt to the task, which continues under the same id. Its options are those of a start."""
        await self._driver.run(
            follow_up(self._driver.core, self._state, prompt, images=images, model=model, webhooks=webhooks)
        )
        return self

    def checkpoints(self) -> "AsyncPagedList[Checkpoint, CursorPage[Checkpoint]]":
        """List the checkpoints of the task. Needs a deployment."""
        from .resources.checkpoints import list_

        return AsyncPagedList(self._driver, list_(self._driver.core, self.id, org_id=self._state.org_id))

    async def fork(
        self,
        *,
        checkpoint_id: str | None = None,
        prompt: str | None = None,
        system_prompt: str | None = None,
        model: str | None = None,
    ) -> "AsyncTask":
        """Start a new task from a checkpoint of this one, by default from the latest one. Needs a deployment.

        The new task gets the conversation up to there, with what you change. Files are not copied. If this task has
        ended, the latest checkpoint is that of its end, which a deployment may make a moment later: this waits for it.
        A task without a checkpoint gets one.

        Args:
            checkpoint_id: The checkpoint, from `checkpoints`.
            prompt: The next prompt, instead of the last one of the conversation.
            system_prompt: Instructions, instead of those of the agent.
            model: The language model.

        Raises:
            TaskTimeoutError: The deployment has not made the checkpoint of the task's end within a minute.
        """
        changes = {"prompt": prompt, "system_prompt": system_prompt, "model": model}
        return AsyncTask(
            self._driver, await self._driver.run(fork(self._driver.core, self._state, checkpoint_id, **changes))
        )

    def events(self, *, after: str | None = None) -> "AsyncPagedList[Event, EventPage]":
        """List the events so far, from the first one or from the one after `after`. Needs a deployment.

        `stream` waits for further events, and works with every server.
        """
        from .resources.runs import events

        return AsyncPagedList(self._driver, events(self._driver.core, self.id, after=after, org_id=self._state.org_id))
