"""Starred runs: the runs that a caller has marked, each with its card."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from codegen_api import AgentRun, CodegenAPI, CodegenAPIError, NotFoundError
from codegen_runs import cursors
from codegen_runs.backend import Backend
from codegen_runs.bodies import Body, IgnoredFields, UpstreamId
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.logs import logger
from codegen_runs.run_cards.cards import RunCard, card, stored_card
from codegen_runs.storage.starred import Star
from codegen_runs.upstream import is_outage

MAX_NOTE_CHARACTERS = 1000

# One list call returns 100 runs. For this many stars or fewer, reading each run transfers less.
FEW = 3
CONCURRENCY = 8


class StarRun(Body):
    """The run to star or to unstar."""

    agent_run_id: UpstreamId = Field(description="A number, or a string of digits.")
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
    stale: bool = Field(
        False,
        description=(
            "Whether `run` is what this deployment has stored, because the Codegen API does not respond. It is then "
            "null for a run that the deployment does not follow."
        ),
    )


def star(request: StarRun, *, org_id: int, caller: Caller, backend: Backend) -> StarredRun:
    """Star an existing run, or unstar a run. While the Codegen API fails, runs that are followed here can be starred.

    Raises `codegen_api.NotFoundError`, `CodegenAPIError`, `StorageUnavailable`.
    """
    if not request.starred:
        unstar(request.agent_run_id, org_id=org_id, caller=caller, backend=backend)
        return StarredRun(agent_run_id=request.agent_run_id, organization_id=org_id, starred=False)
    _check_exists(request.agent_run_id, org_id=org_id, caller=caller, backend=backend)
    new = Star(agent_run_id=request.agent_run_id, starred_at=milliseconds(backend.clock.now()), note=request.note)
    stored = backend.stars.add(org_id, caller.id, new)
    return StarredRun(**_members(stored, org_id))


def unstar(agent_run_id: int, *, org_id: int, caller: Caller, backend: Backend) -> None:
    """Unstar a run; does nothing if the run is not starred. Raises `StorageUnavailable`."""
    backend.stars.remove(org_id, caller.id, agent_run_id)


def newest(
    *, org_id: int, caller: Caller, limit: int, cursor: str | None, backend: Backend
) -> cursors.CursorPage[StarredRunCard]:
    """List a caller's starred runs, newest star first. While the Codegen API fails, the cards are the stored ones.

    Raises `InvalidCursor`, `StorageUnavailable`, `CodegenAPIError`.
    """
    listing = cursors.Listing.of(caller, "starred-runs", org_id)
    after = listing.position(cursor, Star.model_validate_json) if cursor else None
    stars, last = backend.stars.newest(org_id, caller.id, limit, after)
    ids = [each.agent_run_id for each in stars]
    followed = backend.runs.find_many(org_id, ids)
    runs = _runs_if_available(ids, org_id=org_id, caller=caller, backend=backend)
    now = backend.clock.now()

    def card_of(star: Star) -> RunCard | None:
        watch = followed.get(star.agent_run_id)
        if runs is None:
            return stored_card(watch, star=star, now=now) if watch else None
        run = runs.get(star.agent_run_id)
        return card(run, watch, star=star, now=now) if run else None

    cards = [StarredRunCard(**_members(each, org_id), run=card_of(each), stale=runs is None) for each in stars]
    return listing.page(cards, last.model_dump_json(exclude={"note"}) if last else None)


def _check_exists(agent_run_id: int, *, org_id: int, caller: Caller, backend: Backend) -> None:
    if caller.unconfirmed_since and backend.runs.find(org_id, agent_run_id):
        return
    try:
        backend.codegen.runs.get(agent_run_id, org_id=org_id)
    except CodegenAPIError as error:
        if not is_outage(error) or backend.runs.find(org_id, agent_run_id) is None:
            raise


def _runs_if_available(ids: list[int], *, org_id: int, caller: Caller, backend: Backend) -> dict[int, AgentRun] | None:
    """Read runs from the upstream; None while it fails."""
    if caller.unconfirmed_since:  # It has just failed to confirm the caller, so its failure is not awaited again.
        return None
    try:
        return _runs(ids, org_id, backend.codegen)
    except CodegenAPIError as error:
        if not is_outage(error):
            raise
        logger.warning("Could not read the starred runs from the Codegen API.", error=str(error))
        return None


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
