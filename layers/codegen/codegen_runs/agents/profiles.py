"""Agent profiles, for the endpoints that manage agents and for the code that starts runs with them.

A profile has versions: each change makes the next one, and all versions are kept. A deleted agent accepts no new task,
and its versions stay readable for the runs and checkpoints that name them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from itertools import islice

from codegen_runs import cursors, forms
from codegen_runs.agents.agent import Agent, AgentPage, CreateAgent, UpdateAgent, shown
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.clock import milliseconds
from codegen_runs.problems import Conflict, NotFound, PreconditionFailed, StorageUnavailable
from codegen_runs.searching import folded
from codegen_runs.storage.agents import AgentProfile
from codegen_runs.storage.table import ConditionFailed

# Profiles per query of a list. Even the largest profiles stay far below DynamoDB's limit of 1 MB per query.
_PAGE = 20

# How often a change is tried while other requests change the same profile.
_ATTEMPTS = 10


class AgentNotFound(NotFound):
    """The organization has no agent with this id, or the agent has no such version."""

    code = "agent_not_found"
    remedy = "Check the id: GET /v1/organizations/{org_id}/agents lists the agents; POST creates one."


class AgentExists(Conflict):
    """An agent with this id exists."""

    code = "agent_exists"
    remedy = "Choose another id, or change the existing agent."


class AgentChanged(Conflict):
    """The change was made for another version."""

    code = "agent_changed"
    remedy = "Read the agent again, and send the change with the current version."


class AgentNotMatched(PreconditionFailed):
    """The agent is not in the version that If-Match names."""

    code = "agent_not_matched"
    remedy = "Read the agent again, and send the change with the current ETag."


def get(agent_id: str, *, org_id: int, version: int | None = None, backend: Backend) -> AgentProfile:
    """Return an agent's current profile or one of its versions. A deleted agent has only versions.

    Raises `AgentNotFound`, `StorageUnavailable`.
    """
    profile = None
    if re.fullmatch(forms.AGENT, agent_id):  # DynamoDB limits the length of a key.
        agents = backend.agents
        profile = agents.get(org_id, agent_id) if version is None else agents.version(org_id, agent_id, version)
    if profile is None or (profile.deleted_at and version is None):
        which = f"agent {agent_id}" if version is None else f"version {version} of the agent {agent_id}"
        raise AgentNotFound(f"There is no {which} in this organization.")
    return profile


def create(request: CreateAgent, *, org_id: int, caller: Caller, backend: Backend) -> Agent:
    """Store a new agent. Raises `AgentExists`, `StorageUnavailable`."""
    now, agents = milliseconds(backend.clock.now()), backend.agents
    profile = AgentProfile(
        **request.members(),
        id=request.id or f"agent-{now:012x}-{secrets.token_hex(5)}",
        created_at=now,
        created_by=caller.id,
        updated_at=now,
        updated_by=caller.id,
    )
    existing = agents.get(org_id, profile.id) if request.id else None
    try:
        if existing and existing.deleted_at:
            # The version numbers continue, so that runs still name the versions that they were started with.
            profile = profile.model_copy(update={"version": existing.version + 1})
            agents.replace(org_id, profile, existing)
        else:
            agents.add(org_id, profile)
    except ConditionFailed:
        raise AgentExists(f"The agent {profile.id} already exists.") from None
    return shown(profile, request.ignored())


def update(
    agent_id: str,
    request: UpdateAgent,
    *,
    org_id: int,
    caller: Caller,
    if_match: str | None = None,
    backend: Backend,
) -> Agent:
    """Store the next version of an agent, or none if the request changes nothing.

    Raises `AgentNotFound`, `AgentChanged`, `AgentNotMatched`, `StorageUnavailable`.
    """
    for _ in range(_ATTEMPTS):
        current = get(agent_id, org_id=org_id, backend=backend)
        detail = f"The current version of the agent is {current.version}."
        if if_match is not None and not matches(current, if_match):
            raise AgentNotMatched(detail, version=current.version)
        if request.version not in (None, current.version):
            raise AgentChanged(detail, version=current.version)
        changed = AgentProfile.model_validate(current.model_dump() | request.changes())
        if changed == current:
            return shown(current, request.ignored())
        now = milliseconds(backend.clock.now())
        changed = changed.model_copy(
            update={"version": current.version + 1, "updated_at": now, "updated_by": caller.id}
        )
        try:
            backend.agents.replace(org_id, changed, current)
        except ConditionFailed:
            continue
        return shown(changed, request.ignored())
    raise StorageUnavailable("Each attempt to change the agent met another change. Try again.")


def delete(agent_id: str, *, org_id: int, backend: Backend) -> None:
    """Delete an agent; its versions stay readable. Raises `AgentNotFound`, `AgentChanged`, `StorageUnavailable`."""
    current = get(agent_id, org_id=org_id, backend=backend)
    try:
        backend.agents.remove(org_id, current, milliseconds(backend.clock.now()))
    except ConditionFailed:
        raise AgentChanged("Another request changed the agent at the same time.") from None


def newest(
    org_id: int, *, tag: str | None, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[Agent]:
    """List the agents, newest first, only those with `tag` if given. Raises `InvalidCursor`, `StorageUnavailable`."""
    listing = cursors.Listing.of(caller, "agents", org_id, tag)
    after = listing.position(cursor, _created_at_and_id) if cursor else None
    profiles = list(islice(_newest(org_id, tag, backend, after), limit + 1))
    items = [shown(profile) for profile in profiles[:limit]]
    last = profiles[limit - 1] if len(profiles) > limit else None
    return listing.page(items, f"{last.created_at} {last.id}" if last else None)


def page(org_id: int, *, tag: str | None, limit: int, offset: int, backend: Backend) -> AgentPage:
    """List the agents in the order of `newest`, after the first `offset`. Raises `StorageUnavailable`."""
    profiles = list(_newest(org_id, tag, backend))
    items = [shown(profile) for profile in profiles[offset : offset + limit]]
    return AgentPage(items=items, total=len(profiles), limit=limit, offset=offset)


def versions(
    agent_id: str, *, org_id: int, limit: int, cursor: str | None, caller: Caller, backend: Backend
) -> cursors.CursorPage[Agent]:
    """List the versions of an agent, newest first, also of a deleted one.

    Raises `AgentNotFound`, `InvalidCursor`, `StorageUnavailable`.
    """
    listing = cursors.Listing.of(caller, "agent-versions", org_id, agent_id)
    before = listing.position(cursor, int) if cursor else None
    profiles, next_version = backend.agents.versions(org_id, agent_id, limit, before)
    if not profiles and before is None:
        raise AgentNotFound(f"There is no agent {agent_id} in this organization.")
    return listing.page([shown(profile) for profile in profiles], str(next_version) if next_version else None)


def etag(agent: Agent) -> str:
    """Return the entity tag of an agent: its version."""
    return f'"{agent.version}"'


def matches(profile: AgentProfile, if_match: str) -> bool:
    """Return whether an If-Match header has the ETag of a profile, or `*`."""
    tags = [tag.strip() for tag in if_match.split(",")]
    return "*" in tags or f'"{profile.version}"' in tags


def _newest(
    org_id: int, tag: str | None, backend: Backend, after: tuple[int, str] | None = None
) -> Iterator[AgentProfile]:
    wanted = None if tag is None else folded(tag)
    while True:
        profiles, after = backend.agents.newest(org_id, _PAGE, after)
        yield from (profile for profile in profiles if wanted is None or wanted in map(folded, profile.tags))
        if after is None:
            return


def _created_at_and_id(text: str) -> tuple[int, str]:
    created_at, _, agent_id = text.partition(" ")
    if not re.fullmatch(forms.AGENT, agent_id):
        raise ValueError(f"{agent_id!r} is no id of an agent")
    return int(created_at), agent_id
