"""The state of the fake, which operations read and change, and which tests and benchmarks script and inspect."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from . import answers, sample_data
from .clock import Clock, SystemClock
from .limits import LIMITS, Limit, RateLimiter
from .plans import Script, Scripts, Task, make_plan, without_marker
from .runs import Entry, Plan, PullRequest, Run, Turn
from .schemas import (
    AgentRunNotFoundErrorResponse,
    ApiAgentRunSourceType,
    APIRateLimitErrorResponse,
    BusinessError,
    CreateAgentRunInput,
    JsonObject,
    NoReposFoundInOrgErrorResponse,
    PermissionsErrorResponse,
    ResumeAgentRunInput,
    UserNotFoundErrorResponse,
    UserResponse,
    WebhookOverride,
)
from .trouble import Trouble, Troubles
from .webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UpstreamError(Exception):
    """The upstream refuses a call, with a body of the form `{message, status_code}`."""

    def __init__(self, body: BusinessError, *, retry_after: float | None = None) -> None:
        super().__init__(body.message)
        self.body = body
        self.retry_after = retry_after


@dataclass(frozen=True)
class Caller:
    """The user that a token belongs to."""

    token: str
    user_id: int


@dataclass(frozen=True)
class Create:
    """A create that took effect, with the body as it was sent."""

    agent_run_id: int
    organization_id: int
    body: JsonObject
    at: datetime


class FakeCodegen:
    """One Codegen in memory, safe to share between the threads of one process.

    Args:
        clock: The clock for runs and rate limits. None: real time.
        pace: How long runs take, as a multiple of the default 8 to 12 s; 0 ends them at once.
        limits: The rate limit of each bucket; `{}` for no limits.
        retry_after: Whether a 429 carries `Retry-After`. Whether the upstream's does is not known.

    Attributes:
        lock: Held while the state changes.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        pace: float = 1.0,
        limits: Mapping[str, Limit] = LIMITS,
        retry_after: bool = True,
    ) -> None:
        self.clock = clock or SystemClock()
        self.pace = pace
        self.limiter = RateLimiter(limits, retry_after)
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Return to the initial state. Clock, pace and limits stay as they are."""
        with self.lock:
            self.organizations = {organization.id: organization for organization in sample_data.organizations()}
            self.tokens = sample_data.tokens()
            self.models = sample_data.models()
            self.runs: dict[int, Run] = {}
            self.pull_requests: dict[int, PullRequest] = {}
            self.calls: Counter[str] = Counter()
            """The calls of each operation that arrived, whatever the answer."""
            self.calls_about: Counter[str] = Counter()
            """Those with a run in their path, by the run as it stands there."""
            self.creates: list[Create] = []
            """The creates that took effect, oldest first."""
            self.troubles = Troubles()
            self.scripts = Scripts()
            self.webhooks = Webhooks()
            self.number_from(runs=100_001, pull_requests=9_001)
            self.limiter.clear()
            self._add_finished_runs()
            self.webhooks.at_work.clear()

    def number_from(self, *, runs: int, pull_requests: int) -> None:
        """Set the ids of the next run and of the next pull request."""
        self._run_ids = count(runs)
        self._pull_request_ids = count(pull_requests)

    # For tests, benchmarks and the control surface

    def trouble(self, operation: str, trouble: Trouble, *, times: int | None = 1) -> None:
        """Queue `trouble` for the next `times` calls of an operation (`*` for any). None: until the reset."""
        with self.lock:
            self.troubles.add(operation, trouble, times)

    def script(self, script: Script, *, times: int = 1) -> None:
        """Queue `script` for the next `times` runs that are created or resumed and carry no script of their own."""
        with self.lock:
            self.scripts.add(script, times)

    def set_plan(self, run_id: int, plan: Plan | Script) -> None:
        """Replace the plan of a run's last turn, from the turn's start, even if it was stopped."""
        with self.lock:
            run = self.runs[run_id]
            turn = run.turns.pop()
            self._add_turn(run, turn.prompt, plan, turn.started_at)

    def finish(self, run_id: int, ending: str = "COMPLETE", *, result: str | None = None) -> None:
        """End the current turn of a run now. `result` replaces the planned result."""
        with self.lock:
            turn = self.runs[run_id].turns[-1]
            elapsed = turn.elapsed(self.clock.now())
            written = [entry for entry in turn.plan.entries if entry.at <= elapsed]
            summary = None
            if ending == "COMPLETE":
                result = turn.plan.result if result is None else result
                summary = turn.plan.summary
                written.append(Entry(elapsed, {"message_type": "FINAL_ANSWER", "observation": result}))
            turn.plan = replace(
                turn.plan, entries=tuple(written), ends_at=elapsed, ending=ending, result=result, summary=summary
            )

    # Callers and their organizations

    def authenticate(self, authorization: str | None) -> Caller | None:
        """Return the caller of an `Authorization` header, or None if it has no valid token."""
        scheme, _, token = (authorization or "").partition(" ")
        user_id = self.tokens.get(token)
        return Caller(token, user_id) if scheme.lower() == "bearer" and user_id is not None else None

    def admit(self, caller: Caller, operation: str) -> None:
        """Refuse a call that exceeds the rate limit."""
        with self.lock:
            wait = self.limiter.admit(caller.token, operation, self.clock.now())
        if wait is not None:
            raise UpstreamError(APIRateLimitErrorResponse(), retry_after=wait if self.limiter.retry_after else None)

    def count(self, operation: str, run: str | None = None) -> None:
        """Count a call; `run` is the id in its path, if it has one."""
        with self.lock:
            self.calls[operation] += 1
            if run is not None:
                self.calls_about[run] += 1

    def next_trouble(self, operation: str) -> Trouble | None:
        """Take the trouble for the next call of an operation."""
        with self.lock:
            return self.troubles.next(operation)

    def organizations_of(self, caller: Caller) -> list[sample_data.Organization]:
        """Return the organizations that a caller is a member of."""
        return [
            organization
            for organization in self.organizations.values()
            if any(member.id == caller.user_id for member in organization.members)
        ]

    def organization(self, caller: Caller, organization_id: int) -> sample_data.Organization:
        """Return an organization of the caller. Another's is refused in the same way as one that does not exist."""
        for organization in self.organizations_of(caller):
            if organization.id == organization_id:
                return organization
        raise UpstreamError(PermissionsErrorResponse())

    def user(self, organization: sample_data.Organization, user_id: int) -> UserResponse:
        """Return a member of an organization."""
        for member in organization.members:
            if member.id == user_id:
                return member
        raise UpstreamError(UserNotFoundErrorResponse())

    # Runs

    def run(self, organization: sample_data.Organization, run_id: int) -> Run:
        """Return a run of an organization."""
        run = self.runs.get(run_id)
        if run is None or run.organization_id != organization.id:
            raise UpstreamError(AgentRunNotFoundErrorResponse())
        return run

    def list_runs(
        self, organization: sample_data.Organization, user_id: int | None, source_type: ApiAgentRunSourceType | None
    ) -> list[Run]:
        """Return the runs of an organization, newest first."""
        with self.lock:
            runs = [
                run
                for run in self.runs.values()
                if run.organization_id == organization.id
                and user_id in (None, run.user_id)
                and source_type in (None, run.source_type)
            ]
        return sorted(runs, key=lambda run: (run.created_at, run.id), reverse=True)

    def create(
        self, organization: sample_data.Organization, caller: Caller, request: CreateAgentRunInput, body: JsonObject
    ) -> Run:
        """Create a run and record the create. `body` is the request as it was sent.

        Raises:
            UpstreamError: the organization has no repositories.
            pydantic.ValidationError: the request carries an invalid script.
        """
        if not organization.repos:
            raise UpstreamError(NoReposFoundInOrgErrorResponse())
        with self.lock:
            run = self.start(
                organization,
                request.prompt,
                user_id=caller.user_id,
                metadata=request.metadata,
                repo_id=request.repo_id,
                model=request.model,
                agent_type=request.agent_type,
                webhooks=request.webhooks,
            )
            self.creates.append(Create(run.id, organization.id, body, run.created_at))
        return run

    def start(
        self,
        organization: sample_data.Organization,
        prompt: str,
        *,
        user_id: int,
        source_type: ApiAgentRunSourceType = ApiAgentRunSourceType.API,
        metadata: JsonObject | None = None,
        repo_id: int | None = None,
        model: str | None = None,
        agent_type: str | None = None,
        webhooks: Sequence[WebhookOverride] | None = None,
        result: str | None = None,
        script: Script | None = None,
        ago: float = 0,
    ) -> Run:
        """Start a run, `ago` seconds before now, with a script and a result if given."""
        with self.lock:
            script = script or self.scripts.next(prompt, metadata)
            run = Run(
                id=next(self._run_ids),
                organization_id=organization.id,
                user_id=user_id,
                source_type=source_type,
                metadata=metadata,
                repo_id=repo_id,
                model=model or self.models.default_model,
                agent_type=agent_type or "codegen",
                webhooks=list(webhooks or ()),
            )
            self._add_turn(run, prompt, script, self.clock.now() - timedelta(seconds=ago), result)
            self.runs[run.id] = run
        return run

    def resume(self, organization: sample_data.Organization, request: ResumeAgentRunInput) -> Run:
        """Start another turn of a run, whatever its status. A turn that is not over is stopped."""
        with self.lock:
            run = self.run(organization, request.agent_run_id)
            script = self.scripts.next(request.prompt, None)
            now = self.clock.now()
            run.stop(now)
            run.model = request.model or run.model
            if request.webhooks is not None:
                run.webhooks = request.webhooks
            self._add_turn(run, request.prompt, script, now)
        return run

    def ban(self, organization: sample_data.Organization, run_id: int) -> None:
        """Mute the checks of a run's pull request and stop every run on it. Without one, stop only this run."""
        with self.lock:
            run = self.run(organization, run_id)
            now = self.clock.now()
            pull_request = run.visible_pull_request(now)
            if pull_request is None:
                run.checks_banned = True
                run.stop(now)
            else:
                pull_request.checks_banned = True
                for other in self.runs.values():
                    if other.visible_pull_request(now) is pull_request:
                        other.stop(now)

    def unban(self, organization: sample_data.Organization, run_id: int) -> None:
        """Stop muting the checks of a run's pull request. This starts no run."""
        with self.lock:
            run = self.run(organization, run_id)
            run.checks_banned = False
            if run.pull_request:
                run.pull_request.checks_banned = False

    def pull_request(self, organization: sample_data.Organization, pull_request_id: int) -> PullRequest | None:
        """Return a pull request that a run of the organization has opened, or None."""
        now = self.clock.now()
        opened = (run.visible_pull_request(now) for run in self.list_runs(organization, None, None))
        return next((found for found in opened if found and found.id == pull_request_id), None)

    def _add_turn(self, run: Run, prompt: str, plan: Plan | Script, at: datetime, result: str | None = None) -> None:
        if isinstance(plan, Script):
            if plan.pull_request_id is not None:
                run.pull_request = self.pull_requests.get(plan.pull_request_id)
            task = Task(prompt, run.id, len(run.turns), run.model, run.agent_type, result)
            plan = make_plan(task, plan, pace=self.pace)
        if plan.pull_request_at < inf and run.pull_request is None:
            run.pull_request = self._open_pull_request(run, prompt, at + timedelta(seconds=plan.pull_request_at))
        run.turns.append(Turn(at, prompt, plan))
        self.webhooks.at_work.add(run.id)

    def _open_pull_request(self, run: Run, prompt: str, at: datetime) -> PullRequest:
        pull_request_id = next(self._pull_request_ids)
        number = pull_request_id - 9_000
        repos = {repo.id: repo for repo in self.organizations[run.organization_id].repos}
        repo = repos.get(run.repo_id or 0) or next(iter(repos.values()))
        pull_request = PullRequest(
            id=pull_request_id,
            number=number,
            title=answers.topic(without_marker(prompt)),
            url=f"https://github.com/{repo.full_name}/pull/{number}",
            head_branch_name=f"codegen-bot/run-{run.id}",
            repo_id=repo.id,
            created_at=at,
        )
        self.pull_requests[pull_request.id] = pull_request
        return pull_request

    def _add_finished_runs(self) -> None:
        organization = self.organizations[sample_data.DEMO_ORG_ID]
        hours = 3600
        past = (
            ("Update the dependencies", ApiAgentRunSourceType.LINEAR, 200 * hours, Script(pull_request=True)),
            ("Why is checkout slow?", ApiAgentRunSourceType.SLACK, 50 * hours, Script()),
            ("Migrate the website to the new router", ApiAgentRunSourceType.API, 20 * hours, Script(ending="ERROR")),
            ("Add a health check to the shop", ApiAgentRunSourceType.API, 6 * hours, Script(pull_request=True)),
        )
        for prompt, source_type, ago, script in past:
            self.start(
                organization,
                prompt,
                user_id=sample_data.DEMO_USER_ID,
                source_type=source_type,
                repo_id=sample_data.DEMO_REPO_ID,
                script=script,
                ago=ago,
            )
