"""Sending the events of runs to those who are connected, each of them once and in their order.

A subscription says how far a run's log was sent to a connection. To send on, a sender takes its claim, reads the log
from there, posts, and gives the claim back with the new place; nobody else sends meanwhile. Replay is that from the
cursor that the client named, live is that after each write to the log; so there is no seam between the two.

Three things keep it whole:

* Who finds the claim taken marks that there is news, and a marked claim cannot be given back: its holder reads again.
* A sender that dies, or that cannot tell whether a frame went out, leaves its claim behind. Nobody can send on from
  there without a gap or a repetition, so the connection is closed, and the client comes back with the last id it saw.
* Every subscription is looked at once a minute, so that what was missed (a viewer too slow, events that others than the
  poller wrote) is sent then.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.events import Event, is_terminal
from codegen_runs.live.connections import POST_SECONDS, THREADS, Congested, Connections, EffectUnknown, Gone
from codegen_runs.live.reading import CursorExpired, Reader
from codegen_runs.live.websocket_frames import end_frame, event_frames, lost_frame, snapshot_frame
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.connections import Subscription
from codegen_runs.storage.runs import Watch

logger = logging.getLogger(__name__)

# Seconds for which one write to a log may keep its writer, and one round of looking the poller.
PUSH_SECONDS = 3.0
LOOK_SECONDS = 8.0
MOST_LOOKED_AT = 200

# Seconds between two looks at a subscription that nothing happens to, and for which a slow viewer is left alone.
LOOK_INTERVAL = 60.0
SLOW_INTERVAL = 5.0

# Seconds more than a sender has in all, after which it must be dead.
CLAIM_MARGIN = 5.0

_CONTENTIONS = 3


class Sender:
    """Sends what a subscription has not been sent yet.

    Args:
        backend: What to work with.
        connections: The open connections.
    """

    def __init__(self, backend: Backend, connections: Connections) -> None:
        self._backend = backend
        self._table = backend.connections
        self._connections = connections
        self._clock = backend.clock

    def begin(self, subscription: Subscription, *, until: float) -> bool:
        """Store a new subscription, send its snapshot and what there is; tell whether that was all of it.

        Args:
            subscription: The subscription, with the place to send on from.
            until: The epoch second at which to leave the rest to others.
        """
        claimed = subscription.model_copy(update={"claim": secrets.token_hex(8), "due_at": self._claim_end(until)})
        self._table.subscribe(claimed)
        if watch := self._backend.runs.get(subscription.org_id, subscription.key):
            try:
                snapshot = snapshot_frame(
                    subscription, watch, self._expired(subscription, watch), now=self._clock.now()
                )
                self._connections.post(subscription.connection_id, snapshot)
            except Congested:
                pass  # the events tell the same
            except Gone:
                self._table.remove(subscription.connection_id)
                return True
            except EffectUnknown:
                self._drop(claimed)
                return True
        return self._send(claimed, until)

    def send(self, subscription: Subscription, *, until: float, fresh: Sequence[Event] = ()) -> None:
        """Send what was not sent yet, or have whoever is sending see to it.

        Args:
            subscription: The subscription as it was read.
            until: The epoch second at which to leave the rest to others.
            fresh: Events that have just been stored, which saves reading them.
        """
        now = self._ms()
        if subscription.expires_at * 1000 < now:
            self._table.remove(subscription.connection_id)
        elif subscription.claim and subscription.due_at <= now:
            logger.warning("A sender left its claim behind.", extra={"connection": subscription.connection_id})
            self._drop(subscription)
        elif (subscription.slow_until or 0) <= now:
            self._contend(subscription, until, fresh)

    def _contend(self, subscription: Subscription, until: float, fresh: Sequence[Event]) -> None:
        for _ in range(_CONTENTIONS):
            claimed = self._table.claim(subscription, secrets.token_hex(8), self._claim_end(until))
            if claimed:
                self._send(claimed, until, fresh)
                return
            if self._table.mark(subscription):
                return

    def _send(self, claimed: Subscription, until: float, fresh: Sequence[Event] = ()) -> bool:
        """Send on from a claimed subscription's place; tell whether nothing is left to send."""
        cursor = claimed.cursor
        fresh = [event for event in fresh if _place(event) > cursor]
        if fresh and fresh[0].seq != claimed.seq + 1:
            fresh = []
        try:
            while True:
                events: Sequence[Event] = fresh
                is_over = False
                if not events:
                    try:
                        events, cursor, is_over = self._read(claimed, cursor)
                    except CursorExpired as expired:
                        self._connections.post(claimed.connection_id, lost_frame(claimed, expired))
                        self._table.finish(claimed)
                        return True
                for last, frame in event_frames(claimed, events):
                    if self._clock.now() >= until:
                        self._table.put_off(claimed, cursor, self._ms())
                        return False
                    self._connections.post(claimed.connection_id, frame)
                    cursor = _place(last)
                if events and (not fresh or is_terminal(events[-1].type)):
                    fresh = []
                    continue
                if is_over:
                    self._connections.post(claimed.connection_id, end_frame(claimed, cursor))
                    self._table.finish(claimed)
                    return True
                if self._table.release(claimed, cursor, self._ms(LOOK_INTERVAL)):
                    return True
                if not self._table.acknowledge(claimed):
                    return True  # unsubscribed, or replaced by another subscription
                fresh = []
        except Gone:
            self._table.remove(claimed.connection_id)
            return True
        except Congested as error:
            logger.info("A viewer is left behind for a while.", extra={"reason": str(error)})
            self._table.put_off(claimed, cursor, self._ms(SLOW_INTERVAL), slow=True)
            return False
        except EffectUnknown:
            logger.warning("A frame may have been sent or not; its connection is closed.", exc_info=True)
            self._drop(claimed)
            return True

    def _read(
        self, subscription: Subscription, after: tuple[int, int]
    ) -> tuple[Sequence[Event], tuple[int, int], bool]:
        """Return the events that follow a place; without any, the end of what there is, and whether that is all.

        Raises `CursorExpired`.
        """
        watch = self._backend.runs.get(subscription.org_id, subscription.key)
        if watch is None:
            return [], after, self._never_began(subscription)
        reader = Reader(self._backend, watch, after)
        events = reader.next()
        return events, after if events else reader.after, reader.ended

    def _drop(self, subscription: Subscription) -> None:
        """Close a connection that nobody can send on to. Where that fails, the claim stays, and it is tried again."""
        try:
            self._connections.close(subscription.connection_id)
        except Gone:
            pass
        except (Congested, EffectUnknown):
            logger.warning("A connection could not be closed.", exc_info=True)
            return
        self._table.remove(subscription.connection_id)

    def _expired(self, subscription: Subscription, watch: Watch) -> int:
        """Count the events that are missing at the start, for who begins there."""
        reader = Reader(self._backend, watch)
        if subscription.cursor == reader.after:
            reader.next(limit=1)
        return reader.expired

    def _never_began(self, subscription: Subscription) -> bool:
        """Tell whether a run that does not exist will not come to be either."""
        if subscription.multi_run_id is None:
            return True
        multi_run = self._backend.multi_runs.get(subscription.org_id, subscription.multi_run_id)
        return multi_run is None or multi_run.status.terminal

    def _claim_end(self, until: float) -> int:
        return milliseconds(until + POST_SECONDS + CLAIM_MARGIN)

    def _ms(self, seconds_from_now: float = 0) -> int:
        return milliseconds(self._clock.now() + seconds_from_now)


class Publisher:
    """The poller's publisher for those who are connected by WebSocket. Nothing it does fails the poller.

    Args:
        sender: Sends to one subscription.
        backend: What to work with.
    """

    def __init__(self, sender: Sender, backend: Backend) -> None:
        self._table = backend.connections
        self._sender = sender
        self._clock = backend.clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="push")

    def publish(self, watch: Watch, events: Sequence[Event]) -> None:
        """Send events that have just been stored to all who follow the run: one query where nobody does."""
        self.catch_up(watch.org_id, watch.key, events)

    def catch_up(self, org_id: int, key: str, events: Sequence[Event] = ()) -> None:
        """Send those who follow a run what they have not been sent yet, for a few seconds."""
        try:
            subscribers = self._table.subscribers(org_id, key)
        except StorageUnavailable:
            logger.warning("Nobody could be told of a run's events.", exc_info=True)
        else:
            self._send(subscribers, PUSH_SECONDS, events)

    def watched(self, watch: Watch) -> bool:
        """Tell whether anybody follows the run; nobody where that cannot be found out."""
        try:
            return self._table.has_subscribers(watch.org_id, watch.key)
        except StorageUnavailable:
            return False

    def look(self) -> int:
        """Look at subscriptions that nobody has looked at for a while, for a few seconds; count them."""
        try:
            due = self._table.due(milliseconds(self._clock.now()), MOST_LOOKED_AT)
        except StorageUnavailable:
            logger.warning("Nobody could look after the subscriptions.", exc_info=True)
            return 0
        self._send(due, LOOK_SECONDS)
        return len(due)

    def _send(self, subscriptions: Sequence[Subscription], seconds: float, fresh: Sequence[Event] = ()) -> None:
        until = self._clock.now() + seconds
        sent: list[Future[None]] = [
            self._threads.submit(self._sender.send, subscription, until=until, fresh=fresh)
            for subscription in subscriptions
        ]
        done, late = wait(sent, timeout=seconds)
        for future in late:
            future.cancel()  # what has begun ends by itself at that time; what has not is found by the next look
        for future in done:
            if error := future.exception():
                logger.error("A viewer could not be served.", exc_info=error)


def _place(event: Event) -> tuple[int, int]:
    return event.epoch, event.seq
