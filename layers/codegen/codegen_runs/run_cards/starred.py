"""Starred runs: the runs that a caller has marked, each with its card."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from codegen_api import AgentRun, CodegenAPI, NotFoundError
from codegen_runs import cursors
from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, IgnoredFields
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.run_cards.cards import RunCard, card
from codegen_runs.storage.starred import Star

MAX_NOTE_CHARACTERS = 1000

# One list call returns 100 runs. For this many stars or fewer, reading each run transfers less.
FEW = 3
CONCURRENCY = 8


class StarRun(Body):
    """The run to star or to unstar."""

    agent_run_id: int = Field(description="A number, or a string of digits.")
    starred: bool = True
    note: str | None = Field(None, max_length=MAX_NOTE_CHARACTERS)


class StarredRun(BaseModel):
    """Whether a run is starred."""

    agent_run_id: int
    organization_id: int
    starred: bool
    starred_at: datetime | None = None
    note: str | None = None
    warnings: IgnoredFields = Field([])


class StarredRunCard(StarredRun):
    """A starred run with its card."""

    run: RunCard | None = Field(None, description="Null if the Codegen API no longer has the run.")


def star(request: StarRun, *, org_id: int, caller: Caller, backend: Backend) -> StarredRun:
    """Star an existing run, or unstar a run. Raises `codegen_api.NotFoundError`, `StorageUnavailable`."""
    if not request.starred:
        unstar(request.agent_run_id, org_id=org_id, caller=caller, backend=backend)
        return StarredRun(agent_run_id=request.agent_run_id, organization_id=org_id, starred=False)
    backend.codegen.runs.get(request.agent_run_id, org_id=org_id)
    new = Star(agent_run_id=request.agent_run_id, starred_at=milliseconds(backend.clock.now()), note=request.note)
    stored = backend.stars.add(org_id, caller.id, new)
    return StarredRun(**_members(stored, org_id))


def unstar(agent_run_id: int, *, org_id: int, caller: Caller, backend: Backend) -> None:
    """Unstar a run; does nothing if the run is not starred. Raises `StorageUnavailable`."""
    backend.stars.remove(org_id, caller.id, agent_run_id)


def newest(
    *, org_id: int, caller: Caller, limit: int, cursor: str | None, backend: Backend
) -> cursors.CursorPage[StarredRunCard]:
    """List a caller's starred runs, newest star first.

    Raises `InvalidCursor`, `StorageUnavailable`, `CodegenAPIError`.
    """
    scope = ("starred-runs", org_id, caller.id)
    after = Star.model_validate_json(cursors.decode(cursor, *scope)) if cursor else None
    stars, last = backend.stars.newest(org_id, caller.id, limit, after)
    ids = [each.agent_run_id for each in stars]
    runs, now = _runs(ids, org_id, backend.codegen), backend.clock.now()
    followed = backend.runs.find_many(org_id, ids)
    cards = [
        StarredRunCard(
            **_members(each, org_id),
            run=card(run, followed.get(run.id), star=each, now=now) if (run := runs.get(each.agent_run_id)) else None,
        )
        for each in stars
    ]
    return cursors.page(cards, last.model_dump_json(exclude={"note"}) if last else None, *scope)


def _runs(ids: list[int], org_id: int, codegen: CodegenAPI) -> dict[int, AgentRun]:
    recent = codegen.runs.list(org_id=org_id).items if len(ids) > FEW else []
    runs = {run.id: run for run in recent}
    missing = [agent_run_id for agent_run_id in ids if agent_run_id not in runs]

    def read(agent_run_id: int) -> AgentRun | None:
        try:
            return codegen.runs.get(agent_run_id, org_id=org_id)
        except NotFoundError:
            return None

    with ThreadPoolExecutor(CONCURRENCY) as threads:
        return runs | {run.id: run for run in threads.map(read, missing) if run}


def _members(stored: Star, org_id: int) -> dict[str, object]:
    return stored.model_dump() | {
        "organization_id": org_id,
        "starred": True,
        "starred_at": datetime.fromtimestamp(stored.starred_at / 1000, UTC),
    }
