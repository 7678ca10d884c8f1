"""Tasks: agent runs as seen by who waits for their result."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, Generic, Self, TypeVar

from ._docstrings import docstrings_from
from ._driver import AsyncDriver, Driver
from ._models import PullRequest
from ._settings import POLL_INTERVAL, TASK_TIMEOUT
from ._task_events import TaskEvent, events
from ._task_flows import cancel, look, wait
from ._task_state import TaskState, TaskStatus

D = TypeVar("D", Driver, AsyncDriver)


class _Task(Generic[D]):
    """What the tasks of the two clients share: everything that is known without asking."""

    _driver: D

    def __init__(self, driver: D, state: TaskState) -> None:
        self._driver = driver
        self._state = state

    @property
    def id(self) -> int:
        """The id of the agent run."""
        return self._state.id

    @property
    def status(self) -> TaskStatus:
        """Where the task stood when it was last looked at."""
        return self._state.status

    @property
    def raw_status(self) -> str | None:
        """The server's own word for the status."""
        return self._state.word

    @property
    def prompt(self) -> str | None:
        """What the task was started with; None where nobody knows, as Codegen itself does not tell."""
        return self._state.prompt

    @property
    def result(self) -> str | None:
        """The answer, in Markdown; None until the task ends."""
        return self._state.result

    @property
    def summary(self) -> str | None:
        """A short text about what was done, where there is one."""
        return self._state.summary

    @property
    def error(self) -> str | None:
        """Why the task failed; None unless it did."""
        return self._state.error if self.is_failed() else None

    @property
    def created_at(self) -> datetime | None:
        """When the task was created, in UTC."""
        return self._state.created_at

    @property
    def updated_at(self) -> datetime | None:
        """When something last happened in it, in UTC; None where nobody knows, as Codegen itself does not tell."""
        return self._state.updated_at

    @property
    def progress(self) -> int | None:
        """Percent: 0 before it starts, 100 when it has completed, and None between, since no agent tells."""
        return {TaskStatus.PENDING: 0, TaskStatus.COMPLETED: 100}.get(self.status)

    @property
    def web_url(self) -> str | None:
        """Where people can look at the task."""
        return self._state.web_url

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the task was created with."""
        return self._state.metadata

    @property
    def pull_requests(self) -> list[PullRequest]:
        """The pull requests that the task opened."""
        return self._state.pull_requests

    def is_complete(self) -> bool:
        """Tell whether the task has ended, well or not."""
        return self.status.final

    def is_successful(self) -> bool:
        """Tell whether the task has ended well."""
        return self.status is TaskStatus.COMPLETED

    def is_failed(self) -> bool:
        """Tell whether the task has failed. One that was cancelled has not."""
        return self.status is TaskStatus.FAILED

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id}, status={self.status.value!r})"


class Task(_Task[Driver]):
    """A task of a blocking client."""

    def refresh(self) -> Self:
        """Look at the task anew."""
        self._driver.run(look(self._driver.core, self._state))
        return self

    def wait_for_completion(self, timeout: float | None = TASK_TIMEOUT, poll_interval: float = POLL_INTERVAL) -> Self:
        """Wait until the task ends.

        Args:
            timeout: Seconds to wait at most; None for as long as it takes.
            poll_interval: Seconds between two looks.

        Raises:
            TaskTimeoutError: It has not ended. It goes on, and may be waited for again.
        """
        self._driver.run(wait(self._driver.core, self._state, timeout, poll_interval))
        return self

    def cancel(self, *, allow_pr_ban: bool = False, reason: str | None = None) -> Self:
        """Cancel the task; one that has ended stays as it is.

        Codegen has no way to stop an agent but to ban its pull request, which also stops every other agent on it and
        mutes its checks. So a task that waits is cancelled at once, and one that works only with `allow_pr_ban`.

        Args:
            allow_pr_ban: Whether that may be done.
            reason: Kept with the task by a deployment.

        Raises:
            ConflictError: The task works, and `allow_pr_ban` was not given.
            NotSupportedError: The same, by Codegen itself.
        """
        self._driver.run(cancel(self._driver.core, self._state, allow_pr_ban, reason))
        return self

    def stream(self, *, after: str | None = None, poll_interval: float = POLL_INTERVAL) -> Iterator[TaskEvent]:
        """Follow the task to its end, event by event, from the first or from the one that follows `after`.

        Cut connections do no harm: the stream goes on after the last event it has given, and gives each one once. The
        last tells how the task ended.

        Args:
            after: The `id` of the last event that is known already.
            poll_interval: Seconds between two looks at Codegen itself; a deployment answers when there is news.
        """
        return self._driver.follow(events(self._driver.core, self._state, after, poll_interval))


@docstrings_from(Task)
class AsyncTask(_Task[AsyncDriver]):
    """A task of an asynchronous client. Its methods are those of `Task`."""

    async def refresh(self) -> Self:
        """Look at the task anew, as `Task.refresh` does."""
        await self._driver.run(look(self._driver.core, self._state))
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

    def stream(self, *, after: str | None = None, poll_interval: float = POLL_INTERVAL) -> AsyncIterator[TaskEvent]:
        """Follow the task to its end, as `Task.stream` does."""
        return self._driver.follow(events(self._driver.core, self._state, after, poll_interval))
