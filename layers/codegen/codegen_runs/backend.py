"""The `Backend`: one explicit value with the clock, the tables, the Codegen client, and the start of the poller.

Domain functions take it as a parameter. A handler gets one per invocation; a test builds one from the parts it needs.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypedDict, Unpack

from codegen_runs import settings
from codegen_runs.clock import Clock, SystemClock
from codegen_runs.logs import logger

if TYPE_CHECKING:
    from codegen_api import CodegenAPI
    from codegen_runs.callers import Caller
    from codegen_runs.storage.access import AccessTable
    from codegen_runs.storage.agents import AgentsTable
    from codegen_runs.storage.audit import AuditTable
    from codegen_runs.storage.budgets import BudgetsTable
    from codegen_runs.storage.checkpoints import Checkpoints
    from codegen_runs.storage.connections import ConnectionsTable
    from codegen_runs.storage.doorbells import DoorbellsTable
    from codegen_runs.storage.idempotency import IdempotencyTable
    from codegen_runs.storage.multi_runs import MultiRun, MultiRunsTable
    from codegen_runs.storage.outbox import Outbox
    from codegen_runs.storage.runs import RunsTable, Watch
    from codegen_runs.storage.sessions import SessionsTable
    from codegen_runs.storage.starred import StarredRunsTable
    from codegen_runs.storage.table import Table
    from codegen_runs.storage.webhook_endpoints import WebhookEndpointsTable


class Kick(Protocol):
    """Starts the poller."""

    def __call__(self, *changed: Watch | MultiRun) -> None:
        """Start the poller now; it pushes the new events of `changed` to WebSocket subscribers first."""


class Parts(TypedDict, total=False):
    """The parts that can be given to a `Backend`."""

    clock: Clock
    codegen: CodegenAPI
    kick: Kick
    access: AccessTable
    agents: AgentsTable
    audit: AuditTable
    budgets: BudgetsTable
    callers: Table
    checkpoints: Checkpoints
    connections: ConnectionsTable
    doorbells: DoorbellsTable
    idempotency: IdempotencyTable
    multi_runs: MultiRunsTable
    outbox: Outbox
    runs: RunsTable
    shares: Table
    sessions: SessionsTable
    stars: StarredRunsTable
    webhook_endpoints: WebhookEndpointsTable


class Backend:
    """The parts that domain functions use. A part that is not given is opened from the environment on first use.

    A function therefore needs only the environment variables, the permissions and the imports of the parts it uses.
    Reading a part raises `SettingError` if its environment variable is missing.
    """

    def __init__(self, **parts: Unpack[Parts]) -> None:
        if unknown := parts.keys() - Parts.__annotations__.keys():
            raise TypeError(f"A Backend has no part {', '.join(sorted(unknown))}.")
        self._parts = parts
        self._caller: Caller | None = None
        self._deadline: float | None = None
        # A cached property returns the value that it finds here.
        self.__dict__.update(parts)

    def acting_as(self, caller: Caller | None, *, deadline: float) -> Backend:
        """Return the same parts with a Codegen client that acts as `caller`, unless a client was given.

        Args:
            caller: The caller of the request; None for the deployment.
            deadline: Seconds from now after which no request to the Codegen API is awaited or repeated.
        """
        acting = Backend(**self._parts)
        acting._caller, acting._deadline = caller, deadline
        return acting

    @cached_property
    def codegen(self) -> CodegenAPI:
        """The Codegen client of the caller or the deployment. Raises what `upstream.for_deployment` raises."""
        from codegen_runs import upstream

        if self._caller:
            return upstream.for_caller(self._caller, self._deadline)
        return upstream.for_deployment(self._deadline)

    @cached_property
    def clock(self) -> Clock:
        """The clock."""
        return SystemClock()

    @cached_property
    def kick(self) -> Kick:
        """Starts the poller. If this fails, the schedule starts it within a minute."""
        return invoke_poller

    @cached_property
    def access(self) -> AccessTable:
        """API tokens, members' roles, and organizations."""
        from codegen_runs.storage.access import AccessTable

        return AccessTable(settings.required("ACCESS_TABLE"))

    @cached_property
    def agents(self) -> AgentsTable:
        """Agent profiles."""
        from codegen_runs.storage.agents import AgentsTable

        return AgentsTable(settings.required("AGENTS_TABLE"))

    @cached_property
    def audit(self) -> AuditTable:
        """The audit trails of organizations."""
        from codegen_runs.storage.audit import AuditTable

        return AuditTable(settings.required("AUDIT_TABLE"))

    @cached_property
    def budgets(self) -> BudgetsTable:
        """The budgets of organizations, in the runs table."""
        from codegen_runs.storage.budgets import BudgetsTable

        return BudgetsTable(settings.required("RUNS_TABLE"))

    @cached_property
    def callers(self) -> Table:
        """Verified callers, stream tickets and stream keys."""
        from codegen_runs.storage.table import Table

        return Table(settings.required("CALLERS_TABLE"))

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints and forks, in the runs table."""
        from codegen_runs.storage.checkpoints import Checkpoints

        return Checkpoints(settings.required("RUNS_TABLE"), retention=settings.checkpoint_retention())

    @cached_property
    def connections(self) -> ConnectionsTable:
        """WebSocket connections and their subscriptions."""
        from codegen_runs.storage.connections import ConnectionsTable

        return ConnectionsTable(settings.required("CONNECTIONS_TABLE"))

    @cached_property
    def doorbells(self) -> DoorbellsTable:
        """Doorbells, in the webhook endpoints table."""
        from codegen_runs.storage.doorbells import DoorbellsTable

        return DoorbellsTable(settings.required("WEBHOOK_ENDPOINTS_TABLE"))

    @cached_property
    def idempotency(self) -> IdempotencyTable:
        """Requests that were sent with an Idempotency-Key."""
        from codegen_runs.storage.idempotency import IdempotencyTable

        return IdempotencyTable(settings.required("IDEMPOTENCY_TABLE"))

    @cached_property
    def multi_runs(self) -> MultiRunsTable:
        """Multi-runs."""
        from codegen_runs.storage.multi_runs import MultiRunsTable

        return MultiRunsTable(settings.required("MULTI_RUNS_TABLE"))

    @cached_property
    def runs(self) -> RunsTable:
        """Watches, events, leases and token buckets."""
        from codegen_runs.storage.runs import RunsTable

        return RunsTable(
            settings.required("RUNS_TABLE"),
            retention=settings.event_retention(),
            checkpoint_retention=settings.checkpoint_retention(),
        )

    @cached_property
    def outbox(self) -> Outbox:
        """Events that have yet to be announced to webhook endpoints, in the runs table."""
        from codegen_runs.storage.outbox import Outbox

        return Outbox(settings.required("RUNS_TABLE"))

    @cached_property
    def shares(self) -> Table:
        """What each caller uses of streams, tickets and connections."""
        from codegen_runs.storage.table import Table

        return Table(settings.required("SHARES_TABLE"))

    @cached_property
    def sessions(self) -> SessionsTable:
        """Chat sessions, which are stored for as long as their events."""
        from codegen_runs.storage.sessions import SessionsTable

        return SessionsTable(settings.required("SESSIONS_TABLE"), retention=settings.event_retention())

    @cached_property
    def stars(self) -> StarredRunsTable:
        """Starred runs."""
        from codegen_runs.storage.starred import StarredRunsTable

        return StarredRunsTable(settings.required("STARRED_RUNS_TABLE"))

    @cached_property
    def webhook_endpoints(self) -> WebhookEndpointsTable:
        """Webhook endpoints and their deliveries."""
        from codegen_runs.storage.webhook_endpoints import WebhookEndpointsTable

        return WebhookEndpointsTable(settings.required("WEBHOOK_ENDPOINTS_TABLE"))


def invoke_poller(*changed: Watch | MultiRun) -> None:
    """Invoke the poller function asynchronously; see `Kick`."""
    from codegen_runs.aws import AwsError, lambda_

    event = {"kick": True, "told": [[each.org_id, each.key] for each in changed]}
    try:
        lambda_().invoke(
            FunctionName=settings.required("POLLER_FUNCTION"),
            InvocationType="Event",
            Payload=json.dumps(event).encode(),
        )
    except AwsError:
        logger.warning("Could not start the poller; the schedule will start it.", exc_info=True)
