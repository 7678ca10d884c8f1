"""`codegen-runs chat`: conversations with an agent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import click

from ..options import Group, Text, json_option, limit_option
from ..output import Column, Fields, Record, show, show_list
from ..session import FAILED, INTERRUPTED, on_interrupt, starting, with_api
from ..terminal import is_terminal, visible
from ..texts import time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI, Event

_ANSWER = ("run.started", "run.completed", "run.failed", "run.incomplete", "run.cancelled", "run.timed_out")

_COLUMNS: tuple[Column, ...] = (
    ("SESSION", lambda session: session.get("session_id")),
    ("AGENT", lambda session: session.get("agent_id")),
    ("STATUS", lambda session: session.get("status")),
    ("LAST MESSAGE", lambda session: time(session.get("updated_at"))[:19]),
    ("TITLE", lambda session: session.get("title")),
)


@click.group(cls=Group, default="send")
def chat() -> None:
    """Hold conversations with agents, and list yours.

    `codegen-runs chat AGENT_ID MESSAGE` is short for `codegen-runs chat send AGENT_ID MESSAGE`.
    """


@chat.command()
@click.argument("agent_id")
@click.argument("message", type=Text(), required=False)
@click.option("--session", "session_id", help="Id of the conversation to continue. Default: a new one.")
@json_option
@with_api
def send(api: CodegenAPI, agent_id: str, message: str | None, session_id: str | None, fields: Fields) -> None:
    """Send a message to an agent and print its answer.

    Without MESSAGE, hold a conversation: type a message and press Enter; Ctrl-D ends it. Use - as MESSAGE to read it
    from standard input.
    """
    if message is not None:
        answer = _send(api, agent_id, message, session_id)
        _show(answer, fields)
        _say_how_to_continue(answer)
        if answer.get("status") != "completed":
            sys.exit(FAILED)
    elif not is_terminal(sys.stdin):
        raise click.UsageError("There is no message. Give one as an argument, or - to read it from standard input.")
    else:
        _converse(api, agent_id, session_id, fields)


@chat.command("list")
@limit_option("conversations", 1000)
@json_option
@with_api
def list_(api: CodegenAPI, limit: int, fields: Fields) -> None:
    """List your conversations, latest message first.

    Continue one with `codegen-runs chat AGENT --session SESSION`.
    """
    found = (session.model_dump() for session in api.chat.sessions())
    show_list(islice(found, limit), fields, _COLUMNS, "You have no conversations.")


def _converse(api: CodegenAPI, agent_id: str, session_id: str | None, fields: Fields) -> None:
    answer: Record = {"agent_id": agent_id, "session_id": session_id}
    while True:
        try:
            message = input("> ")
        except EOFError:
            click.echo("", err=True)
            break
        except KeyboardInterrupt:
            _say_how_to_continue(answer)
            sys.exit(INTERRUPTED)
        if message.strip():
            answer = _send(api, agent_id, message, answer.get("session_id"))
            _show(answer, fields)
    _say_how_to_continue(answer)


def _send(api: CodegenAPI, agent_id: str, message: str, session_id: Any) -> Record:
    """Send a message, show what the agent does, and return its answer."""
    from .. import display

    answer: dict[str, Any] = {}
    with display.steps(f"Agent {agent_id}") as shown:
        events = starting(api, lambda: _begun(api.chat.stream(agent_id, message, session_id=session_id)))
        with on_interrupt("The agent continues. Its runs are listed by: codegen-runs run list"):
            for event in events:
                answer |= event.data if event.type in _ANSWER else {}
                if event.type != "content.delta":
                    shown(event)
    return {name: value for name, value in answer.items() if name != "links"}


def _begun(events: Iterator[Event]) -> Iterator[Event]:
    """Return a stream whose first event has arrived, so that a refusal of the message is noticed."""
    first = next(events)
    return chain([first], events)


def _show(answer: Record, fields: Fields) -> None:
    show(answer, fields, _lines)


def _lines(answer: Record) -> None:
    from .. import display

    if response := answer.get("response"):
        display.answer(str(response))
    if answer.get("status") != "completed":
        reason = f": {answer['status_reason']}" if answer.get("status_reason") else "."
        click.echo(visible(f"The agent's turn ended as {answer.get('status')}{reason}"), err=True)


def _say_how_to_continue(answer: Record) -> None:
    if session_id := answer.get("session_id"):
        command = f"codegen-runs chat {answer.get('agent_id')} --session {session_id}"
        click.echo(visible(f"Continue with: {command}"), err=True)
