"""Run several actors in an order that a test chooses, one step at a time.

Each actor is a thread that runs alone until it calls `pause`, which the fakes do before whatever another actor could
come in between. So an interleaving is a list of choices, and a failing one can be shrunk and run again.
"""

from collections.abc import Callable
from threading import Semaphore, Thread, current_thread


class Died(BaseException):
    """The process of an actor ended here. Not an `Exception`: nothing can handle it."""


class _Actor:
    def __init__(self, work: Callable[[], None]) -> None:
        self.turn = Semaphore(0)
        self.dies = False
        self.ended = False
        self.error: BaseException | None = None
        self.thread = Thread(target=self._run, args=(work,), daemon=True)

    def _run(self, work: Callable[[], None]) -> None:
        self.turn.acquire()
        try:
            if not self.dies:
                work()
        except Died:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            self.error = error
        self.ended = True
        self.paused.release()

    paused: Semaphore


class Interleaving:
    """Actors under way. `run` them by choosing one of those that are left, again and again."""

    def __init__(self) -> None:
        self._actors: list[_Actor] = []
        self._by_thread: dict[Thread, _Actor] = {}
        self._paused = Semaphore(0)

    def start(self, work: Callable[[], None]) -> None:
        """Add an actor."""
        actor = _Actor(work)
        actor.paused = self._paused
        self._actors.append(actor)
        self._by_thread[actor.thread] = actor
        actor.thread.start()

    def pause(self) -> None:
        """Let another actor be chosen; without effect outside of actors."""
        if actor := self._by_thread.get(current_thread()):
            self._paused.release()
            actor.turn.acquire()
            if actor.dies:
                raise Died

    @property
    def left(self) -> int:
        """How many actors have not ended."""
        return len(self._actors)

    def step(self, choice: int, *, dies: bool = False) -> None:
        """Let one of the actors that are left go on to its next pause, or end it there and then."""
        actor = self._actors[choice % len(self._actors)]
        actor.dies = dies
        actor.turn.release()
        self._paused.acquire()
        if actor.ended:
            self._actors.remove(actor)
            if actor.error:
                raise actor.error

    def finish(self) -> None:
        """Run all that are left to their ends."""
        for _ in range(100_000):
            if not self._actors:
                return
            self.step(0)
        raise AssertionError("some actor never ends")
