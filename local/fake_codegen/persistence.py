"""Keep the state of a fake in a journal: runs with their logs, pull requests, organizations, creates, and the clock.

Each record has the parts of the state that a call has changed, by name, such as `run/100001`; null means that there is
no such part any more. What belongs to a session with the control surface is not kept: troubles, scripts that wait for a
run, settings, counts of calls, and the windows of the rate limits. Runs go on while the fake is stopped, as at Codegen.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, TypeAdapter

from local.journal import DataError, open_journal

from .runs import PullRequest, Run
from .sample_data import Organization
from .state import Create

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .state import FakeCodegen

_KIND, _VERSION = "the state of a fake Codegen", 1
# A run that never ends has an infinite time in its plan.
_CONFIG = ConfigDict(ser_json_inf_nan="constants")
_ADAPTERS: dict[str, TypeAdapter[list[Any]]] = {
    "organization": TypeAdapter(list[Organization]),
    "pull_request": TypeAdapter(list[PullRequest]),
    "run": TypeAdapter(list[Run], config=_CONFIG),
    "create": TypeAdapter(list[Create]),
}
# The journal is rewritten when it has this many parts, and twice as many as the state has.
_MOST_PARTS = 10_000


class Persistence:
    """The journal of a fake.

    Args:
        fake: The fake. If the journal exists, it gets the state in it.
        path: The journal.
        on_failure: Called when the journal cannot be written any more.

    Raises:
        DataError: the journal cannot be used.
    """

    def __init__(self, fake: FakeCodegen, path: Path, *, on_failure: Callable[[DataError], None]) -> None:
        self._fake = fake
        self._on_failure = on_failure
        self._has_failed = False
        self._journal, records = open_journal(path, _KIND, _VERSION)
        self._written = sum(map(len, records))
        # What the journal has of each part: a value that differs when the part has changed.
        self._kept: dict[str, Any] = {}
        if not records:
            self.keep()
            return
        parts: dict[str, Any] = {}
        try:
            for record in records:
                parts |= record
            self._restore({name: part for name, part in parts.items() if part is not None})
        except (KeyError, TypeError, ValueError) as error:
            self._journal.close()
            reason = "was written by another version of Codegen Runs and was not changed"
            raise DataError(f"{path} {reason}.") from error
        self._kept = {name: mark for name, mark, _ in self._parts()}

    def keep(self) -> None:
        """Keep what has changed since the last call. Raises `DataError`."""
        with self._fake.lock:
            current = {name: (mark, dump) for name, mark, dump in self._parts()}
            changed = {
                name: dump()
                for name, (mark, dump) in current.items()
                if name not in self._kept or self._kept[name] != mark
            }
            changed |= dict.fromkeys(self._kept.keys() - current.keys())
            if not changed:
                return
            try:
                self._journal.append(changed)
            except DataError as error:
                if not self._has_failed:
                    self._has_failed = True
                    self._on_failure(error)
                raise
            self._kept = {name: mark for name, (mark, _) in current.items()}
            self._written += len(changed)
            if self._written > 2 * len(current) + _MOST_PARTS:
                self._journal.replace({name: dump()} for name, (_, dump) in current.items())
                self._written = len(current)

    def close(self) -> None:
        """Keep nothing from here on."""
        self._journal.close()

    def _parts(self) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
        """Yield the name of each part, a value that differs when the part has changed, and a function that dumps it."""
        fake = self._fake
        yield "clock", fake.clock.ahead, lambda: fake.clock.ahead
        for kind, values in (("organization", fake.organizations), ("pull_request", fake.pull_requests)):
            for number, value in values.items():
                dumped = _dump(kind, value)
                yield f"{kind}/{number}", dumped, partial(_dump, kind, value)
        for number, run in fake.runs.items():
            yield f"run/{number}", _mark(run), partial(_dump, "run", run)
        for number, create in enumerate(fake.creates):
            yield f"create/{number}", create, partial(_dump, "create", create)

    def _restore(self, parts: dict[str, Any]) -> None:
        fake = self._fake
        fake.clock.advance(parts.pop("clock"))
        loaded: dict[str, list[Any]] = {kind: [] for kind in _ADAPTERS}
        for name, part in parts.items():
            kind = name.partition("/")[0]
            loaded[kind].append(_ADAPTERS[kind].validate_python([part])[0])
        fake.organizations = {organization.id: organization for organization in loaded["organization"]}
        fake.pull_requests = {pull_request.id: pull_request for pull_request in loaded["pull_request"]}
        fake.runs = {run.id: run for run in loaded["run"]}
        # Nobody is called about the runs that ended while the fake was stopped.
        fake.webhooks.at_work = {run.id for run in loaded["run"] if not run.ended(fake.clock.now())}
        fake.creates = loaded["create"]
        for run in fake.runs.values():
            if run.pull_request:  # runs share it
                run.pull_request = fake.pull_requests[run.pull_request.id]
        fake.number_from(runs=max(fake.runs, default=0) + 1, pull_requests=max(fake.pull_requests, default=0) + 1)


def _dump(kind: str, value: Any) -> Any:
    return _ADAPTERS[kind].dump_python([value], mode="json")[0]


def _mark(run: Run) -> tuple[Any, ...]:
    """Return what changes in a run when it changes: plans are replaced as a whole, and only the last turn changes."""
    turn = run.turns[-1]
    pull_request_id = run.pull_request and run.pull_request.id
    return (len(run.turns), turn.plan, turn.stopped_at, run.model, run.checks_banned, pull_request_id)
