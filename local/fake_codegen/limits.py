"""Rate limits, with the windows that the upstream's operation descriptions state."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Limit:
    """At most `calls` in any `seconds`."""

    calls: int
    seconds: float


LIMITS: Mapping[str, Limit] = {
    "standard": Limit(60, 30),
    "create": Limit(10, 60),
    "logs": Limit(60, 60),
    "setup": Limit(5, 60),
    "cli_rules": Limit(30, 60),
    "pull_requests": Limit(30, 60),
    "webhook_test": Limit(10, 60),
}

# The bucket of each operation. An operation that is missing here has no stated limit. Which operations share a bucket
# is not known. Sharing is the stricter reading: a client that respects it also respects separate buckets.
BUCKETS: Mapping[str, str] = {
    "get_users": "standard",
    "get_user": "standard",
    "get_current_user_info": "standard",
    "get_organizations": "standard",
    "get_repositories": "standard",
    "get_agent_run": "standard",
    "list_agent_runs": "standard",
    "get_organization_integrations_endpoint": "standard",
    "get_available_models": "standard",
    "create_agent_run": "create",
    "get_agent_run_logs": "logs",
    "generate_setup_commands": "setup",
    "analyze_sandbox_logs": "setup",
    "get_cli_rules": "cli_rules",
    "edit_pull_request_simple": "pull_requests",
    "edit_pull_request": "pull_requests",
    "test_webhook": "webhook_test",
}


@dataclass
class RateLimiter:
    """Counts admitted calls per token and bucket in a sliding window, the strictest kind of window."""

    limits: Mapping[str, Limit]
    """May be replaced at any time. Empty: no limits."""
    retry_after: bool = True
    """Whether refusals carry `Retry-After`. Whether the upstream's do is not known."""
    _admitted: dict[tuple[str, str], deque[datetime]] = field(default_factory=lambda: defaultdict(deque))

    def admit(self, token: str, operation: str, now: datetime) -> float | None:
        """Admit a call, or return the seconds until a call would be admitted. A refused call does not count."""
        bucket = BUCKETS.get(operation, "")
        limit = self.limits.get(bucket)
        if limit is None:
            return None
        admitted = self._admitted[token, bucket]
        window = timedelta(seconds=limit.seconds)
        while admitted and now - admitted[0] >= window:
            admitted.popleft()
        if len(admitted) < limit.calls:
            admitted.append(now)
            return None
        return (admitted[len(admitted) - limit.calls] + window - now).total_seconds()

    def clear(self) -> None:
        """Forget every call."""
        self._admitted.clear()
