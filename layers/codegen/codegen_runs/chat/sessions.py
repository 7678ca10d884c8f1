"""Conversations: the first message starts a run, and each further message opens the run's next turn.

A session takes one message at a time. A request that sends a message claims the session, and releases the claim when
the run works on the message. From then on the session is busy while the run is at work, at most until its deadline.
The claim of a request that died expires.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack

from codegen_api import AgentRun
from codegen_runs.agents import composing, profiles
from codegen_runs.backend import Backend
from codegen_runs.bodies import Warned
from codegen_runs.callers import Caller
from codegen_runs.chat.messages import ChatAnswer, ChatLinks, ChatMessage
from codegen_runs.clock import milliseconds
from codegen_runs.limits import backlogs
from codegen_runs.links import link_to_run
from codegen_runs.live.reading import START
from codegen_runs.logs import logger
from codegen_runs.problems import Conflict, NotFound, StorageUnavailable
from codegen_runs.runs import starting
from codegen_runs.runs.following import DEADLINE
from codegen_runs.runs.requests import CreateAgentRun, FollowUp
from codegen_runs.statuses import Status
from codegen_runs.storage.runs import Watch
from codegen_runs.storage.sessions import ChatSession, SessionsTable
from codegen_runs.storage.table import ConditionFailed

# Seconds after which a claim expires. Sending a message takes less: API Gateway's limit for an answer is 29.
CLAIM_SECONDS = 60

# How many of an agent's latest sessions are searched for one at work.
_SEARCHED = 100


class SessionNotFound(NotFound):
    """The organization has no such session."""

    code = "session_not_found"
    remedy = "Omit session_id to begin a new conversation."


class SessionBusy(Conflict):
    """The agent has not answered the previous message."""

    code = "session_busy"
    remedy = "Wait for the end of the turn (see `links`), or cancel the run. Then send the message again."


class SessionOfAnotherAgent(Conflict):
    """The session is with another agent."""

    code = "session_of_another_agent"
    remedy = "Send the agent_id that the conversation began with, or omit session_id to begin a new conversation."


def send(request: ChatMessage, *, org_id: int, caller: Caller, backend: Backend) -> ChatAnswer:
    """Send a message to an agent. When this returns, the upstream has accepted the message.

    Raises:
        AgentNotFound: The organization has no such agent.
        SessionNotFound: The organization has no such session.
        SessionOfAnotherAgent: The session is with another agent.
        SessionBusy: The previous message has no answer yet.
        FollowUpHeld: The run is paused, or being cancelled.
        CodegenAPIError: The upstream refused the message, or it is not known whether it did (`effect_unknown`).
        NoPermit: The upstream's rate limit is used up for longer than the request can wait.
        StorageUnavailable: A table did not answer, and nothing was sent.
        TooManyQueuedRuns: The caller has too many queued runs; nothing was stored.
    """
    backlogs.check(org_id=org_id, caller=caller, backend=backend)
    if request.session_id is None:
        return _begin(request, org_id=org_id, caller=caller, backend=backend)
    return _continue(request, request.session_id, org_id=org_id, caller=caller, backend=backend)


def at_work(org_id: int, agent_id: str, *, backend: Backend) -> ChatSession | None:
    """Return a session in which an agent has a message to answer, if any. Raises `StorageUnavailable`.

    A session that began a moment ago may be missed, because an index is read.
    """
    now = backend.clock.now()
    since = milliseconds(now - DEADLINE)
    sessions = backend.sessions.of_agent(org_id, agent_id, since=since, limit=_SEARCHED)
    ids = [session.agent_run_id for session in sessions if session.agent_run_id is not None]
    watches = backend.runs.find_many(org_id, ids)
    for session in sessions:
        watch = watches.get(session.agent_run_id or 0)
        if session.claimed_until > milliseconds(now) or (watch and _is_at_work(watch)):
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
    with ExitStack() as on_error:
        on_error.callback(sessions.remove, org_id, session.id)
        run = starting.start(
            CreateAgentRun(prompt=request.message, metadata={"session_id": session.id}),
            org_id=org_id,
            caller=caller,
            backend=backend,
            agent=agent,
            source={"session_id": session.id},
        )
        on_error.pop_all()
    warnings = _release(sessions, org_id, session, run.id)
    return _chat_answer(request, session, run, warnings, org_id=org_id, turn=1)


def _continue(request: ChatMessage, session_id: str, *, org_id: int, caller: Caller, backend: Backend) -> ChatAnswer:
    sessions, claim = backend.sessions, secrets.token_hex(8)
    session = sessions.get(org_id, session_id)
    if session is None:
        raise SessionNotFound(f"There is no session {session_id} in this organization.")
    if session.agent_id != request.agent_id:
        raise SessionOfAnotherAgent(f"The session is with the agent {session.agent_id}.")
    agent = profiles.get(request.agent_id, org_id=org_id, backend=backend)
    now = milliseconds(backend.clock.now())
    try:
        session = sessions.claim(org_id, session, claim, now=now, until=now + CLAIM_SECONDS * 1000)
    except ConditionFailed:
        raise SessionBusy("Another message of the session is being sent.") from None
    with ExitStack() as on_error:
        on_error.callback(_release, sessions, org_id, session, session.agent_run_id)
        if session.agent_run_id is None:
            raise SessionNotFound("The session has no run, because its first message was lost.")
        # Read under the claim: its previous holder has opened the run's next turn by now.
        watch = backend.runs.find(org_id, session.agent_run_id)
        if watch and _is_at_work(watch):
            links = _links(org_id, session.agent_run_id, START).model_dump()
            raise SessionBusy(
                f"The agent has not answered yet: turn {watch.turn} is {watch.shown_status}.", links=links
            )
        run = starting.resume(
            str(session.agent_run_id),
            FollowUp(prompt=request.message),
            org_id=org_id,
            caller=caller,
            backend=backend,
            source={**composing.named(agent), "agent_version": session.agent_version, "session_id": session.id},
        )
        on_error.pop_all()
    cursor, turn = ((watch.epoch, watch.seq), watch.turn + watch.status.terminal) if watch else (START, 1)
    warnings = _release(sessions, org_id, session, run.id)
    return _chat_answer(request, session, run, warnings, org_id=org_id, turn=turn, cursor=cursor)


def _is_at_work(watch: Watch) -> bool:
    """Return whether the run has a prompt to work on. A run that is paused at the upstream waits for a follow-up."""
    return not watch.status.terminal and (watch.status is not Status.PAUSED or watch.paused_at is not None)


def _release(sessions: SessionsTable, org_id: int, session: ChatSession, agent_run_id: int | None) -> list[Warned]:
    """Release the claim. A failure does not change whether the message was sent, so it is only a warning."""
    try:
        sessions.release(org_id, session.id, session.claim or "", agent_run_id=agent_run_id)
    except (ConditionFailed, StorageUnavailable):
        logger.exception("A session could not be released.", session_id=session.id)
        detail = "The session could not be updated: it may be impossible to continue it, or only after a minute."
        return [Warned(code="session_not_kept", pointer="", detail=detail)]
    return []


def _chat_answer(
    request: ChatMessage,
    session: ChatSession,
    run: AgentRun,
    warnings: list[Warned],
    *,
    org_id: int,
    turn: int,
    cursor: tuple[int, int] = START,
) -> ChatAnswer:
    of_run = [Warned.model_validate(warning) for warning in (run.model_extra or {}).get("warnings", [])]
    return ChatAnswer(
        organization_id=org_id,
        run_id=run.id,
        session_id=session.id,
        agent_id=session.agent_id,
        agent_version=session.agent_version,
        turn=turn,
        status=Status.RUNNING,
        cursor="{}-{}".format(*cursor),
        links=_links(org_id, run.id, cursor),
        warnings=request.ignored() + of_run + warnings,
    )


def _links(org_id: int, run_id: int, cursor: tuple[int, int]) -> ChatLinks:
    path, after = link_to_run(org_id, run_id), "{}-{}".format(*cursor)
    return ChatLinks(
        run=path,
        events=f"{path}/events?after={after}",
        stream=f"{path}/logs/stream?view=chat&after={after}",
    )
