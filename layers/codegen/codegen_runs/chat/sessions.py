"""Conversations: the first message starts a run, each further one is the run's next turn.

One message at a time: who sends one claims the session, and gives the claim back when the run works on it. From then on
the run says whether the session is busy, and no run stays at work past its deadline. A claim whose holder died ends by
itself.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack

from aws_lambda_powertools import Logger

from codegen_api import AgentRun
from codegen_runs.agents import composing, profiles
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.callers import Caller
from codegen_runs.chat.messages import ChatAnswer, ChatLinks, ChatMessage
from codegen_runs.clock import milliseconds
from codegen_runs.live.reading import START, run_path
from codegen_runs.problems import Conflict, NotFound, StorageUnavailable
from codegen_runs.runs import starting
from codegen_runs.runs.following import DEADLINE
from codegen_runs.runs.requests import CreateAgentRun, FollowUp
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.sessions import ChatSession, SessionsTable
from codegen_runs.storage.table import ConditionFailed

# Seconds that a message may be on its way to the upstream: longer than the gateway waits for anything.
CLAIM_SECONDS = 60

# How many of an agent's latest sessions are asked whether they are at work.
_LATEST = 100

logger = Logger()


class SessionNotFound(NotFound):
    """The organization has no such conversation."""

    code = "session_not_found"
    remedy = "Omit session_id to begin a new conversation."


class SessionBusy(Conflict):
    """The agent has not answered the message before."""

    code = "session_busy"
    remedy = "Wait for the end of the turn (see `links`), or cancel the run. Then send the message again."


class SessionOfAnotherAgent(Conflict):
    """The conversation is with another agent."""

    code = "session_of_another_agent"
    remedy = "Send the agent_id that the conversation began with, or omit session_id to begin a new conversation."


def send(request: ChatMessage, *, org_id: int, caller: Caller, backend: Backend) -> ChatAnswer:
    """Send a message to an agent; it is at work on it when this returns.

    Raises:
        AgentNotFound: There is no such agent.
        SessionNotFound: There is no such conversation.
        SessionOfAnotherAgent: It is one with another agent.
        SessionBusy: The message before has no answer yet.
        FollowUpHeld: The run is paused, or being cancelled.
        CodegenAPIError: The upstream did not take the message, or nobody knows (`effect_unknown`).
        NoPermit: The upstream's limit is used up for longer than a caller can be made to wait.
        StorageUnavailable: Nobody can tell; nothing was sent.
    """
    if request.session_id is None:
        return _begin(request, org_id=org_id, caller=caller, backend=backend)
    return _go_on(request, request.session_id, org_id=org_id, caller=caller, backend=backend)


def at_work(org_id: int, agent_id: str, *, backend: Backend) -> ChatSession | None:
    """Find a conversation in which an agent has a message to answer. Raises `StorageUnavailable`.

    One that has begun within the last moment may not be found yet.
    """
    now = backend.clock.now()
    since = milliseconds(now - DEADLINE)
    sessions = backend.sessions.of_agent(org_id, agent_id, since=since, limit=_LATEST)
    ids = [session.agent_run_id for session in sessions if session.agent_run_id is not None]
    followed = backend.runs.find_many(org_id, ids)
    for session in sessions:
        watch = followed.get(session.agent_run_id or 0)
        if session.claimed_until > milliseconds(now) or (watch and _works(watch)):
            return session
    return None


def _begin(request: ChatMessage, *, org_id: int, caller: Caller, backend: Backend) -> ChatAnswer:
    now, sessions = milliseconds(backend.clock.now()), backend.sessions
    agent = profiles.get(request.agent_id, org_id=org_id, backend=backend)
    session = ChatSession(
        id=f"chat-{now:012x}-{secrets.token_hex(5)}",
        agent_id=agent.id,
        agent_version=agent.version,
        created_at=now,
        created_by=caller.id,
        updated_at=now,
        claim=secrets.token_hex(8),
        claimed_until=now + CLAIM_SECONDS * 1000,
    )
    sessions.add(org_id, session)
    with ExitStack() as undoing:
        undoing.callback(sessions.remove, org_id, session.id)
        run = starting.start(
            CreateAgentRun(prompt=request.message, metadata={"session_id": session.id}),
            org_id=org_id,
            caller=caller,
            backend=backend,
            agent=agent,
            source={"session_id": session.id},
        )
        undoing.pop_all()
    return _at_work(request, session, run, _release(sessions, org_id, session, run.id), org_id=org_id, turn=1)


def _go_on(request: ChatMessage, session_id: str, *, org_id: int, caller: Caller, backend: Backend) -> ChatAnswer:
    sessions, claim = backend.sessions, secrets.token_hex(8)
    session = sessions.get(org_id, session_id)
    if session is None:
        raise SessionNotFound(f"There is no session {session_id} in this organization.")
    if session.agent_id != request.agent_id:
        raise SessionOfAnotherAgent(f"The session is with the agent {session.agent_id}.")
    agent = profiles.get(request.agent_id, org_id=org_id, backend=backend)
    now = milliseconds(backend.clock.now())
    try:
        session = sessions.claim(org_id, session_id, claim, now=now, until=now + CLAIM_SECONDS * 1000)
    except ConditionFailed:
        raise SessionBusy("Another message of the session is being sent.") from None
    with ExitStack() as releasing:
        releasing.callback(_release, sessions, org_id, session, session.agent_run_id)
        if session.agent_run_id is None:
            raise SessionNotFound("The session has no run, because its first message was lost.")
        # Read under the claim: whoever had it before has opened the run's next turn by now.
        watch = backend.runs.find(org_id, session.agent_run_id)
        if watch and _works(watch):
            links = _links(org_id, session.agent_run_id, START).model_dump()
            raise SessionBusy(f"The agent has not answered yet: turn {watch.turn} is {watch.status}.", links=links)
        run = starting.resume(
            str(session.agent_run_id),
            FollowUp(prompt=request.message),
            org_id=org_id,
            caller=caller,
            backend=backend,
            source={**composing.named(agent), "agent_version": session.agent_version, "session_id": session.id},
        )
        releasing.pop_all()
    place, turn = ((watch.epoch, watch.seq), watch.turn + watch.status.terminal) if watch else (START, 1)
    unreleased = _release(sessions, org_id, session, run.id)
    return _at_work(request, session, run, unreleased, org_id=org_id, turn=turn, place=place)


def _works(watch: Watch) -> bool:
    """Whether the run has something to do. An agent that is paused at the upstream waits to be told more."""
    return not watch.status.terminal and (watch.status is not Status.PAUSED or watch.paused_at is not None)


def _release(sessions: SessionsTable, org_id: int, session: ChatSession, agent_run_id: int | None) -> list[Warned]:
    """Give the claim back. The message is sent, or not, whether or not that succeeds: a failure is only a warning."""
    try:
        sessions.release(org_id, session.id, session.claim or "", agent_run_id=agent_run_id)
    except (ConditionFailed, StorageUnavailable):
        logger.exception("A session could not be released.", session_id=session.id)
        detail = "The session could not be updated: it may be impossible to continue it, or only after a minute."
        return [Warned(code="session_not_kept", pointer="", detail=detail)]
    return []


def _at_work(
    request: ChatMessage,
    session: ChatSession,
    run: AgentRun,
    warnings: list[Warned],
    *,
    org_id: int,
    turn: int,
    place: tuple[int, int] = START,
) -> ChatAnswer:
    told = [Warned.model_validate(warning) for warning in (run.model_extra or {}).get("warnings", [])]
    return ChatAnswer(
        organization_id=org_id,
        run_id=run.id,
        session_id=session.id,
        agent_id=session.agent_id,
        agent_version=session.agent_version,
        turn=turn,
        status=Status.RUNNING,
        cursor="{}-{}".format(*place),
        links=_links(org_id, run.id, place),
        warnings=request.ignored() + told + warnings,
    )


def _links(org_id: int, run_id: int, place: tuple[int, int]) -> ChatLinks:
    path, after = run_path(org_id, run_id), "{}-{}".format(*place)
    return ChatLinks(
        run=path,
        events=f"{path}/events?after={after}",
        stream=f"{path}/logs/stream?view=chat&after={after}",
    )
