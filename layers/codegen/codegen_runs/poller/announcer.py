"""Announcing events to webhook endpoints as soon as the poller has stored them."""

from __future__ import annotations

from collections.abc import Sequence

from codegen_runs.backend import Backend
from codegen_runs.events import Event
from codegen_runs.poller.publisher import Publisher
from codegen_runs.storage.outbox import ANNOUNCED
from codegen_runs.storage.runs import Watch
from codegen_runs.webhook_endpoints import announcing


class Announcer:
    """Pushes events to viewers as `publisher` does, and then announces them.

    Args:
        publisher: Pushes the events.
        backend: The outbox and the table of endpoints.
    """

    def __init__(self, publisher: Publisher, backend: Backend) -> None:
        self._publisher = publisher
        self._backend = backend

    def publish(self, watch: Watch, events: Sequence[Event]) -> None:
        """See `Publisher.publish`."""
        self._publisher.publish(watch, events)
        if any(event.type in ANNOUNCED for event in events):
            announcing.announce(backend=self._backend)

    def catch_up(self, org_id: int, key: str) -> None:
        """See `Publisher.catch_up`. The events of a multi-run were stored without being named here."""
        self._publisher.catch_up(org_id, key)
        announcing.announce(backend=self._backend)

    def watched(self, watch: Watch) -> bool:
        """See `Publisher.watched`."""
        return self._publisher.watched(watch)
