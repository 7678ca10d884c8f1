"""Send a multi-run over HTTP, show how it goes, and print its answer."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from rich.live import Live
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

PROMPT = "Write a function that merges two sorted lists, and say how you would test it."

_SETTLED = {"completed", "failed", "cancelled"}
_POLL_SECONDS = 0.5
# A group settles by its own deadline; this is for a stack that has stopped to move.
_PATIENCE_SECONDS = 4 * 3600.0
# How many reads in a row may fail before that is the result.
_READ_FAILURES = 10

_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "timed_out": "red", "running": "cyan"}

Snapshot = dict[str, Any]


class DemoError(Exception):
    """The demo has no answer to show, for the reason the message tells."""


def run(
    api: httpx.Client,
    org_id: int,
    *,
    console: Console,
    prompt: str = PROMPT,
    candidates: int = 3,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run one multi-run from the request to the answer.

    Args:
        api: A client of the API, with the caller's token.
        org_id: The organization to run in.
        console: Where to show it: as a live table in a terminal, else as a line for each change.
        prompt: What every candidate is asked.
        candidates: How many there are, 1 to 20.
        sleep: Waits so many seconds between two looks.

    Raises:
        DemoError: the multi-run was refused, failed, or cannot be read.
    """
    try:
        created = api.post(f"/v1/organizations/{org_id}/multi-runs", json={"prompt": prompt, "concurrency": candidates})
    except httpx.TransportError as error:
        raise DemoError(f"the API does not answer: {error!r}") from error
    if created.status_code != httpx.codes.ACCEPTED:
        raise DemoError(f"the multi-run was refused: {created.status_code} {created.text}")
    location = created.headers["Location"]
    console.print(f"POST /v1/organizations/{org_id}/multi-runs -> 202, Location: {location}", soft_wrap=True)
    console.print(f"Prompt: {prompt}\n", markup=False, soft_wrap=True)
    snapshot: Snapshot = created.json()
    started = time.monotonic()
    with _progress(console) as show:
        show(snapshot)
        while snapshot["status"] not in _SETTLED:
            if time.monotonic() - started > _PATIENCE_SECONDS:
                raise DemoError(f"{snapshot['id']} is still {snapshot['status']}")
            sleep(_POLL_SECONDS)
            snapshot = _read(api, location, sleep)
            show(snapshot)
    if snapshot["status"] != "completed":
        raise DemoError(_why(snapshot))
    answer = snapshot["answer"]
    console.rule(f"answer ({answer['source']})")
    if console.is_terminal:
        console.print(Markdown(answer["text"]))
    else:
        console.print(answer["text"], markup=False, soft_wrap=True)


def _read(api: httpx.Client, location: str, sleep: Callable[[float], None]) -> Snapshot:
    problem = ""
    for _ in range(_READ_FAILURES):
        try:
            response = api.get(location)
        except httpx.TransportError as error:
            problem = repr(error)
        else:
            if response.status_code == httpx.codes.OK:
                snapshot: Snapshot = response.json()
                return snapshot
            problem = f"{response.status_code} {response.text}"
        sleep(_POLL_SECONDS)
    raise DemoError(f"{location} cannot be read: {problem}")


def _why(snapshot: Snapshot) -> str:
    lines = [f"{snapshot['id']} is {snapshot['status']}: {snapshot.get('reason') or 'no reason given'}"]
    lines += [
        f"  candidate {candidate['index'] + 1}: {candidate['status']}: {candidate['reason']}"
        for candidate in snapshot["candidates"]
        if candidate.get("reason")
    ]
    return "\n".join(lines)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[Snapshot], None]]:
    """Give a function that shows a snapshot."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda snapshot: live.update(_table(snapshot), refresh=True)
        return
    shown: dict[str, str] = {}

    def show(snapshot: Snapshot) -> None:
        for name, state in _lines(snapshot):
            if shown.get(name) != state:
                shown[name] = state
                console.print(f"{name}: {state}", markup=False, soft_wrap=True)

    yield show


def _lines(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for candidate in snapshot["candidates"]:
        run_id = candidate.get("agent_run_id")
        yield f"candidate {candidate['index'] + 1}", candidate["status"] + (f", agent run {run_id}" if run_id else "")
    if synthesis := snapshot.get("synthesis"):
        yield "synthesis", str(synthesis["status"])
    yield snapshot["id"], snapshot["status"]


def _table(snapshot: Snapshot) -> Table:
    counts = snapshot["counts"]
    table = Table(
        title=f"{snapshot['id']}: {snapshot['status']}",
        caption=f"{counts['finished']} of {counts['requested']} finished, {counts['usable']} usable",
        title_justify="left",
        caption_justify="left",
        expand=True,
    )
    for column in ("candidate", "status", "agent run", "logs"):
        table.add_column(column, no_wrap=True)
    table.add_column("latest", ratio=1, no_wrap=True)
    rows = [(str(candidate["index"] + 1), candidate) for candidate in snapshot["candidates"]]
    if synthesis := snapshot.get("synthesis"):
        rows.append(("synthesis", synthesis))
    for name, row in rows:
        latest = row.get("reason") or row.get("result") or row.get("last_log") or ""
        table.add_row(
            name,
            f"[{_STYLES.get(row['status'], 'default')}]{row['status']}[/]",
            str(row.get("agent_run_id") or ""),
            str(row.get("log_count") or ""),
            escape(next(iter(str(latest).strip().splitlines()), "")),
        )
    return table
