"""What a command works with: the client, pauses that are announced, and errors that become messages."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from . import advice
from .terminal import visible

if TYPE_CHECKING:
    from codegen_api import CodegenAPI, RateLimits

P = ParamSpec("P")
T = TypeVar("T")

FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

# How often a start that the rate limit refuses is repeated, beside the retries of the client, and for which codes. The
# Codegen API has none.
_PATIENCE = 10
_PASSING = (None, "limit_used_up", "rate_limited")

# A shorter pause needs no explanation.
_NOTICED_SECONDS = 2.0


class Unusable(click.ClickException):
    """The command, its configuration or the server does not allow this."""

    exit_code = UNUSABLE


class Session:
    """How to reach the server: what the options say, and how a client is made.

    Args:
        make: Makes a client; a test gives another function than `CodegenAPI`.
        sleep: Sleeps for a number of seconds.

    Attributes:
        org_id, base_url: The options `--org-id` and `--base-url`.
    """

    def __init__(
        self, make: Callable[..., CodegenAPI] | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._make = make
        self._do_sleep = sleep
        self.org_id: str | None = None
        self.base_url: str | None = None
        self._on_pause: Callable[[float], None] | None = None

    @staticmethod
    def current() -> Session:
        """Return the session of the command that runs."""
        session: Session = click.get_current_context().find_root().obj
        return session

    def client(self, **more: Any) -> CodegenAPI:
        """Make a client. Warnings about its configuration go to standard error."""
        from codegen_api import CodegenAPI, ConfigurationWarning

        settings: dict[str, Any] = {"org_id": self.org_id, "base_url": self.base_url, "sleep": self.sleep, **more}
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", ConfigurationWarning)
            api = (self._make or CodegenAPI)(**settings)
        for warning in warned:
            click.echo(f"Warning: {visible(str(warning.message))}", err=True)
        return api

    @contextmanager
    def announcing(self, announce: Callable[[float], None]) -> Iterator[None]:
        """Call a function with the seconds of each long pause that the client makes in the block."""
        self._on_pause = announce
        try:
            yield
        finally:
            self._on_pause = None

    def sleep(self, seconds: float) -> None:
        """Sleep, and announce a long pause."""
        announce, self._on_pause = self._on_pause, None  # the announcement may call the server and pause itself
        if announce and seconds >= _NOTICED_SECONDS:
            announce(seconds)
        self._on_pause = announce
        self._do_sleep(seconds)


def with_api(command: Callable[Concatenate[CodegenAPI, P], None]) -> Callable[P, None]:
    """Pass a client to a command. It is created only when the command runs, so `--help` needs no token."""

    @click.pass_context
    def run(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> None:
        command(context.with_resource(Session.current().client()), *args, **kwargs)

    return update_wrapper(run, command)


def starting(api: CodegenAPI, start: Callable[[], T]) -> T:
    """Start a run, however long the rate limit lets it wait. Each pause is announced."""
    from codegen_api import RateLimitError

    session = Session.current()
    with session.announcing(lambda seconds: _announce(api, seconds)):
        for _ in range(_PATIENCE):
            try:
                return start()
            except RateLimitError as error:
                if error.retry_after is None or error.code not in _PASSING:
                    raise
                session.sleep(error.retry_after)
        return start()


def log_requests(context: click.Context) -> None:
    """Log every request to standard error until the command ends."""
    import logging  # for few commands, and it takes a while

    log, handler = logging.getLogger("codegen_api"), logging.StreamHandler(sys.stderr)
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    context.call_on_close(lambda: log.removeHandler(handler))


@contextmanager
def on_interrupt(hint: str) -> Iterator[None]:
    """On Ctrl-C, print what continues and exit."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{hint}", err=True)
        sys.exit(INTERRUPTED)


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Exit with a message instead of a traceback when the client raises an error, and on Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        from codegen_api import CodegenAPIError, ConfigurationError, InvalidArgumentError, NotSupportedError

        if not isinstance(error, CodegenAPIError):
            raise
        is_usage = isinstance(error, ConfigurationError | InvalidArgumentError | NotSupportedError)
        raise (Unusable if is_usage else click.ClickException)(visible(advice.message(error))) from None


def _announce(api: CodegenAPI, seconds: float) -> None:
    from codegen_api import CodegenAPIError

    reason, queue = "The server accepts no new run now.", ""
    try:
        limits = api.with_deadline(5).rate_limits.get()
    except CodegenAPIError:
        pass  # the pause is announced without its reason
    else:
        reason = _reason(limits) or reason
        if limits.queue.length:
            queue = f" {limits.queue.length} runs of the organization wait in the launch queue."
    click.echo(visible(f"{reason} The next attempt is in {seconds:.0f} s.{queue}"), err=True)


def _reason(limits: RateLimits) -> str | None:
    """Return why no run can be created now, as far as the limits show it."""
    create = next((limit for limit in limits.caller if limit.name == "create"), None)
    if create is None or create.remaining:
        return None
    used_up = f"Codegen's limit of {create.calls} new runs in {create.window_seconds:g} s is used up."
    return create.blocked_reason or used_up
