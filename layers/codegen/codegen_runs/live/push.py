"""Sending the events of runs to WebSocket subscriptions, each event once and in order.

A subscription stores how far a run's log was sent to a connection. To send more, a sender takes the subscription's
claim, reads the log from the stored cursor, posts the events, and releases the claim with the new cursor. Only the
holder of the claim sends. Replay (from the client's cursor) and live delivery (after a write to the log) are the same
operation, so no event falls between the two.

Three rules keep the delivery complete:

* A sender that finds the claim taken marks it. A marked claim cannot be released: its holder reads the log again.
* A sender that dies, or that does not know whether a frame was sent, leaves its claim behind. No other sender can
  continue without risking a gap or a repetition, so the connection is closed, and the client reconnects with the last
  id that it has seen.
* Every subscription is checked once a minute. The check sends what is still missing, for a slow viewer or after a write
  without a notification.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from codegen_runs.backend import Backend
from codegen_runs.clock import milliseconds
from codegen_runs.events import Event, is_terminal
from codegen_runs.live.connections import POST_SECONDS, THREADS, Congested, Connections, EffectUnknown, Gone
from codegen_runs.live.reading import START, CursorExpired, Reader, RunReader
from codegen_runs.live.websocket_frames import end_frame, event_frames, lost_frame, snapshot_frame
from codegen_runs.problems import StorageUnavailable
from codegen_runs.storage.connections import PART, Subscription
from codegen_runs.storage.runs import Watch

logger = logging.getLogger(__name__)

# The longest time in seconds that sending delays the writer of new events, and that a check delays the poller.
PUSH_SECONDS = 3.0
CHECK_SECONDS = 8.0

# How many subscriptions one check covers at most.
MAX_CHECKED = 200

# Seconds between two checks of a subscription, and seconds for which a slow viewer gets nothing.
CHECK_INTERVAL = 60.0
SLOW_INTERVAL = 5.0

# Seconds after the end of a sender's time at which it must have died.
CLAIM_MARGIN = 5.0

# How often a sender tries to take or to mark a claim that changes at the same time.
_ATTEMPTS = 3


class Sender:
    """Sends the events that a subscription has not been sent yet.

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
        """Store a new subscription, and send its snapshot and the stored events.

        Args:
            subscription: The subscription, with the cursor to continue from.
            until: The epoch second at which to stop sending; another sender sends the rest.

        Returns:
            Whether all stored events were sent, or the subscription has ended.
        """
        claimed = subscription.model_copy(update={"claim": secrets.token_hex(8), "due_at": self._claim_end(until)})
        self._table.subscribe(claimed)
        if reader := self._reader(subscription, START):
            try:
                snapshot = snapshot_frame(subscription, reader, self._expired(subscription, reader))
                self._connections.post(subscription.connection_id, snapshot)
            except Congested:
                pass  # The events contain the same information.
            except Gone:
                self._table.remove(subscription.connection_id)
                return True
            except EffectUnknown:
                self._close(claimed)
                return True
        return self._send(claimed, until)

    def send(self, subscription: Subscription, *, until: float, fresh: Sequence[Event] = ()) -> None:
        """Send the events that were not sent yet, or mark the claim of the current sender.

        Args:
            subscription: The subscription as last read.
            until: The epoch second at which to stop sending; another sender sends the rest.
            fresh: Events that have just been stored, so that they need not be read.
        """
        now = self._epoch_ms()
        if subscription.expires_at * 1000 < now:
            self._table.remove(subscription.connection_id)
        elif subscription.claim and subscription.due_at <= now:
            logger.warning("A sender died and left its claim behind.", extra={"connection": subscription.connection_id})
            self._close(subscription)
        elif (subscription.slow_until or 0) <= now:
            self._claim_and_send(subscription, until, fresh)

    def _claim_and_send(self, subscription: Subscription, until: float, fresh: Sequence[Event]) -> None:
        for _ in range(_ATTEMPTS):
            claimed = self._table.claim(subscription, secrets.token_hex(8), self._claim_end(until))
            if claimed:
                self._send(claimed, until, fresh)
                return
            if self._table.mark(subscription):
                return

    def _send(self, claimed: Subscription, until: float, fresh: Sequence[Event] = ()) -> bool:
        """Send the events after the cursor of a claimed subscription; return whether none is left to send."""
        cursor = claimed.cursor
        fresh = [event for event in fresh if _cursor(event) > cursor]
        if fresh and fresh[0].seq != claimed.seq + 1:
            fresh = []
        try:
            while True:
                events: Sequence[Event] = fresh
                ended = False
                if not events:
                    try:
                        events, cursor, ended = self._read(claimed, cursor)
                    except CursorExpired as expired:
                        self._connections.post(claimed.connection_id, lost_frame(claimed, expired))
                        self._table.finish(claimed)
                        return True
                for last, frame in event_frames(claimed, events):
                    if self._clock.now() >= until:
                        self._table.put_off(claimed, cursor, self._epoch_ms())
                        return False
                    self._connections.post(claimed.connection_id, frame)
                    cursor = _cursor(last)
                if events and (not fresh or is_terminal(events[-1].type)):
                    fresh = []
                    continue
                if ended:
                    self._connections.post(claimed.connection_id, end_frame(claimed, cursor))
                    self._table.finish(claimed)
                    return True
                if self._table.release(claimed, cursor, self._epoch_ms(CHECK_INTERVAL)):
                    return True
                if not self._table.acknowledge(claimed):
                    return True  # The client has unsubscribed, or a new subscription replaced this one.
                fresh = []
        except Gone:
            self._table.remove(claimed.connection_id)
            return True
        except Congested as error:
            logger.info("A slow viewer gets nothing for a while.", extra={"reason": str(error)})
            self._table.put_off(claimed, cursor, self._epoch_ms(SLOW_INTERVAL), slow=True)
            return False
        except EffectUnknown:
            logger.warning("A frame may or may not have been sent; the connection is closed.", exc_info=True)
            self._close(claimed)
            return True

    def _read(
        self, subscription: Subscription, after: tuple[int, int]
    ) -> tuple[Sequence[Event], tuple[int, int], bool]:
        """Read the events after a cursor. Raises `CursorExpired`.

        Returns:
            The events, the cursor to continue from, and whether no more events will follow.
        """
        reader = self._reader(subscription, after)
        if reader is None:
            return [], after, self._will_never_exist(subscription)
        events = reader.next()
        return events, after if events else reader.after, reader.ended

    def _close(self, subscription: Subscription) -> None:
        """Close the connection of a subscription that cannot continue. If that fails, the next check tries again."""
        try:
            self._connections.close(subscription.connection_id)
        except Gone:
            pass
        except (Congested, EffectUnknown):
            logger.warning("A connection could not be closed.", exc_info=True)
            return
        self._table.remove(subscription.connection_id)

    def _reader(self, subscription: Subscription, after: tuple[int, int]) -> Reader[Any] | None:
        """Return a reader of the subscription's log; None if there is none yet."""
        org_id, key = subscription.org_id, subscription.key
        if subscription.part == PART:
            # Imported here, because the models of multi-runs take long, and few subscriptions are to one.
            from codegen_runs.live.multi_runs import MultiRunReader

            multi_run = self._backend.multi_runs.get(org_id, key)
            return MultiRunReader(self._backend, multi_run, after) if multi_run else None
        watch = self._backend.runs.get(org_id, key)
        return RunReader(self._backend, watch, after) if watch else None

    def _expired(self, subscription: Subscription, reader: Reader[Any]) -> int:
        """Count the events missing at the start of the log, for a subscription that begins there."""
        if subscription.cursor == reader.after:
            reader.next(limit=1)
        return reader.expired

    def _will_never_exist(self, subscription: Subscription) -> bool:
        """Return whether a run without a watch will not get one: the multi-run that would start it has ended."""
        if subscription.multi_run_id is None:
            return True
        multi_run = self._backend.multi_runs.get(subscription.org_id, subscription.multi_run_id)
        return multi_run is None or multi_run.status.terminal

    def _claim_end(self, until: float) -> int:
        return milliseconds(until + POST_SECONDS + CLAIM_MARGIN)

    def _epoch_ms(self, seconds_from_now: float = 0) -> int:
        return milliseconds(self._clock.now() + seconds_from_now)


class Publisher:
    """The poller's publisher to WebSocket subscriptions. Its errors are logged and never fail the poller.

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
        """Send events that have just been stored to the run's subscribers; one query if there are none."""
        self.catch_up(watch.org_id, watch.key, events)

    def catch_up(self, org_id: int, key: str, events: Sequence[Event] = ()) -> None:
        """Send the subscribers of a run the events that they have not been sent yet, for at most `PUSH_SECONDS`."""
        try:
            subscribers = self._table.subscribers(org_id, key)
        except StorageUnavailable:
            logger.warning("The subscribers of a run could not be read.", exc_info=True)
        else:
            self._send(subscribers, PUSH_SECONDS, events)

    def watched(self, watch: Watch) -> bool:
        """Return whether the run has subscribers; False if they cannot be read."""
        try:
            return self._table.has_subscribers(watch.org_id, watch.key)
        except StorageUnavailable:
            return False

    def check(self) -> int:
        """Check the subscriptions that are due, for at most `CHECK_SECONDS`; return how many are due."""
        try:
            due = self._table.due(milliseconds(self._clock.now()), MAX_CHECKED)
        except StorageUnavailable:
            logger.warning("The subscriptions that are due could not be read.", exc_info=True)
            return 0
        self._send(due, CHECK_SECONDS)
        return len(due)

    def _send(self, subscriptions: Sequence[Subscription], seconds: float, fresh: Sequence[Event] = ()) -> None:
        until = self._clock.now() + seconds
        sent: list[Future[None]] = [
            self._threads.submit(self._sender.send, subscription, until=until, fresh=fresh)
            for subscription in subscriptions
        ]
        done, late = wait(sent, timeout=seconds)
        for future in late:
            future.cancel()  # A running one ends by itself at `until`. The next check covers one that has not begun.
        for future in done:
            if error := future.exception():
                logger.error("Sending to a subscription failed.", exc_info=error)


def _cursor(event: Event) -> tuple[int, int]:
    return event.epoch, event.seq
