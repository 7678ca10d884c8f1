"""Start a multi-run over HTTP, show its progress, and print its answer."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
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

PROMPT = "Explain how to merge two sorted lists, and say how you would test it."

_SETTLED = {"completed", "failed", "cancelled"}
_POLL_SECONDS = 0.5
# A multi-run settles by its own deadline. This is for a stack that makes no more progress.
_PATIENCE_SECONDS = 4 * 3600.0
# The demo fails after this many failed reads in a row.
_READ_FAILURES = 10

_STYLES = {"completed": "green", "failed": "red", "cancelled": "yellow", "timed_out": "red", "running": "cyan"}

Snapshot = dict[str, Any]


class DemoError(Exception):
    """The demo has no answer to show. The message says why."""


def run(
    api: httpx.Client,
    org_id: int,
    *,
    console: Console,
    prompt: str = PROMPT,
    candidates: int = 3,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run one multi-run from the request to the answer.

    Args:
        api: A client of the API, with the caller's token.
        org_id: The organization to run in.
        console: Where to show it: in a terminal as a live table, else as one line for each change.
        prompt: The prompt of every candidate.
        candidates: The number of candidates, 1 to 20.
        sleep: Waits for a number of seconds between two reads.
        clock: Returns monotonic seconds.

    Raises:
        DemoError: the multi-run was refused, failed, or cannot be read.
    """
    # Judges rank the answers in both orders, although a synthesis of three needs no ranking: the demo shows it.
    body = {"prompt": prompt, "concurrency": candidates, "judge": "always", "judges": 2}
    try:
        created = api.post(f"/v1/organizations/{org_id}/multi-runs", json=body)
    except httpx.TransportError as error:
        raise DemoError(f"the API does not respond: {error!r}") from error
    if created.status_code != httpx.codes.ACCEPTED:
        raise DemoError(f"the multi-run was refused: {created.status_code} {created.text}")
    location = created.headers["Location"]
    url = created.url.join(location)
    console.print(f"POST /v1/organizations/{org_id}/multi-runs -> 202, Location: {location}", soft_wrap=True)
    console.print(f"Prompt: {prompt}\n", markup=False, soft_wrap=True)
    snapshot: Snapshot = created.json()
    started = clock()
    logs = _Logs(api, org_id)
    with _progress(console) as show:
        show(snapshot)
        while snapshot["status"] not in _SETTLED:
            if clock() - started > _PATIENCE_SECONDS:
                raise DemoError(f"{snapshot['id']} is still {snapshot['status']}")
            sleep(_POLL_SECONDS)
            snapshot = _read(api, url, sleep)
            logs.add_to(snapshot)
            show(snapshot)
    if snapshot["status"] != "completed":
        raise DemoError(_why(snapshot))
    answer = snapshot["answer"]
    console.rule(f"answer ({answer['source']})")
    if console.is_terminal:
        console.print(Markdown(answer["text"]))
    else:
        console.print(answer["text"], markup=False, soft_wrap=True)
    for title, lines in (("ranking", _ranking(snapshot)), ("provenance", _provenance(snapshot))):
        if found := list(lines):
            console.rule(title)
            for line in found:
                console.print(line, markup=False, soft_wrap=True)


class _Logs:
    """The logs of a multi-run's runs, read from the event log of each run as it grows."""

    def __init__(self, api: httpx.Client, org_id: int) -> None:
        self._api = api
        self._path = f"/v1/organizations/{org_id}/agent/run"
        self._cursors: dict[int, str] = {}
        self._lines: defaultdict[int | None, list[str]] = defaultdict(list)

    def add_to(self, snapshot: Snapshot) -> None:
        """Set `logs` in each run of the snapshot: a line for each log entry so far."""
        for _, run in _runs(snapshot):
            run_id = run.get("agent_run_id")
            run["logs"] = self._lines[run_id]
            if run_id and (run.get("log_count") or 0) > len(run["logs"]):
                self._read(run_id)

    def _read(self, run_id: int) -> None:
        """Read the events after the last one read. If that fails, the next call reads them."""
        query = {"after": self._cursors[run_id]} if run_id in self._cursors else {}
        try:
            answer = self._api.get(f"{self._path}/{run_id}/events", params=query)
        except httpx.TransportError:
            return
        if answer.status_code == httpx.codes.OK:
            page = answer.json()
            self._cursors[run_id] = page["next_cursor"]
            logs = [event["data"]["log"] for event in page["items"] if event["type"] == "run.log"]
            self._lines[run_id].extend(map(_log_line, logs))


def _log_line(log: dict[str, Any]) -> str:
    source = log.get("tool_name") or log.get("message_type") or "log"
    return f"{source}: {_first_line(log.get('thought') or log.get('observation') or _inputs(log.get('tool_input')))}"


def _inputs(value: object) -> object:
    """Return the inputs of a tool as a person reads them."""
    return ", ".join(map(str, value.values())) if isinstance(value, dict) else value or ""


def _first_line(text: object) -> str:
    return next(iter(str(text).strip().splitlines()), "")


def _differences(snapshot: Snapshot) -> dict[str, str]:
    """Return for each run with a result what no other result has: its first line of its own, without Markdown."""
    results = {name: _text_lines(run["result"]) for name, run in _runs(snapshot) if run.get("result")}
    return {
        name: next(
            (line for line in lines if not any(line in others for other, others in results.items() if other != name)),
            next(iter(lines), ""),
        )
        for name, lines in results.items()
    }


def _text_lines(markdown: object) -> list[str]:
    """Return the lines of a text without Markdown. Its headings come last, because they repeat the prompt."""
    written = sorted(str(markdown).splitlines(), key=lambda line: line.startswith("#"))
    lines = (re.sub(r"[*_`#]+", "", line).strip(" -") for line in written)
    return [line for line in lines if line]


def _read(api: httpx.Client, url: httpx.URL, sleep: Callable[[float], None]) -> Snapshot:
    problem = ""
    for _ in range(_READ_FAILURES):
        try:
            response = api.get(url)
        except httpx.TransportError as error:
            problem = repr(error)
        else:
            if response.status_code == httpx.codes.OK:
                snapshot: Snapshot = response.json()
                return snapshot
            problem = f"{response.status_code} {response.text}"
        sleep(_POLL_SECONDS)
    raise DemoError(f"{url.path} cannot be read: {problem}")


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
    """Yield a function that shows a snapshot."""
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda snapshot: live.update(_table(snapshot), refresh=True)
        return
    states: dict[str, str] = {}
    log_counts: Counter[str] = Counter()

    def show(snapshot: Snapshot) -> None:
        for name, run in _runs(snapshot):
            for line in run.get("logs", [])[log_counts[name] :]:
                console.print(f"{name} | {line}", markup=False, soft_wrap=True)
            log_counts[name] = len(run.get("logs", []))
        differences = _differences(snapshot)
        for name, state in _lines(snapshot):
            if states.get(name) != state:
                states[name] = state
                console.print(f"{name}: {state}", markup=False, soft_wrap=True)
                if name in differences:
                    console.print(f"{name} > {differences[name]}", markup=False, soft_wrap=True)

    yield show


def _runs(snapshot: Snapshot) -> list[tuple[str, dict[str, Any]]]:
    runs = [(f"candidate {candidate['index'] + 1}", candidate) for candidate in snapshot["candidates"]]
    runs += [(f"judge {judge['number']}", judge) for judge in (snapshot.get("judging") or {}).get("judges", [])]
    return runs + ([("synthesis", snapshot["synthesis"])] if snapshot.get("synthesis") else [])


def _ranking(snapshot: Snapshot) -> Iterator[str]:
    """Yield a line for each ranked candidate, and one about the judges."""
    judging = snapshot.get("judging") or {}
    for place in judging.get("ranking") or []:
        points = "" if place["points"] is None else f" ({place['points']} points)"
        reason = f": {place['reasons'][0]}" if place["reasons"] else ""
        yield f"{place['rank']}. candidate {place['candidate'] + 1}{points}{reason}"
    if pairs := judging.get("pairs_in_both_orders"):
        flipped = len(judging["contradictions"])
        yield f"Of {pairs} pairs, the judges ranked {flipped} differently in the opposite order."
    if judging.get("by_judges") is False:
        yield "The evidence decides the first place, not the judges."


def _provenance(snapshot: Snapshot) -> Iterator[str]:
    """Yield a line for each block of the answer, with the candidates that it overlaps with."""
    provenance = snapshot["answer"].get("provenance") or {}
    for block in provenance.get("blocks", []):
        sources = [f"{source['candidate'] + 1} ({source['score']:.0%})" for source in block["sources"]]
        yield f"{_first_line(block['text'])[:70]} <- {'candidates ' + ', '.join(sources) if sources else 'novel'}"
    for left in provenance.get("left_out", []):
        yield f"Of candidate {left['candidate'] + 1}, the answer has {left['taken']} of {left['blocks']} blocks."


def _lines(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for name, run in _runs(snapshot):
        run_id = run.get("agent_run_id")
        yield name, run["status"] + (f", agent run {run_id}" if run_id else "")
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
    differences = _differences(snapshot)
    for name, row in _runs(snapshot):
        latest = row.get("reason") or differences.get(name) or next(iter(row.get("logs", [])[-1:]), "")
        table.add_row(
            name.removeprefix("candidate "),
            f"[{_STYLES.get(row['status'], 'default')}]{row['status']}[/]",
            str(row.get("agent_run_id") or ""),
            str(row.get("log_count") or ""),
            escape(_first_line(latest)),
        )
    return table
