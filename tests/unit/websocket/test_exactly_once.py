"""Whatever happens between replay and live: a client that reconnects gets each event once, in order, and one end."""

from collections.abc import Callable
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen_runs.backend import Backend
from codegen_runs.events import Writer
from codegen_runs.live.connections import Congested, EffectUnknown
from codegen_runs.live.push import Sender
from codegen_runs.statuses import Status
from codegen_runs.storage.connections import Subscription
from codegen_runs.storage.runs import Watch
from tests.support.memory import MemoryRuns
from tests.support.profiles import examples
from tests.unit.websocket.fakes import FakeConnections, MemoryConnectionsTable, events
from tests.unit.websocket.interleaving import Interleaving

ORG, KEY = 123, "7"
LASTS = 10


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class World:
    """One run that is written, one client that follows it through any number of connections, and their trouble."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.actors = Interleaving()
        self.runs = MemoryRuns(made_up=True)
        self.table = MemoryConnectionsTable()
        self.connections = FakeConnections()
        self.table.before = self.connections.before = self.actors.pause
        watch = Watch(org_id=ORG, key=KEY, agent_run_id=7, status=Status.RUNNING, created_at=0, updated_at=0,
                      deadline_at=0, due_at=0)  # fmt: skip
        self.runs.add(watch)
        self.backend = Backend(clock=self.clock, runs=cast(Any, self), connections=cast(Any, self.table))
        self.connected = 0
        self.frames: list[dict[str, Any]] = []

    def sender(self) -> Sender:
        return Sender(self.backend, self.connections)

    # what a sender reads, with a pause before it

    def get(self, org_id: int, key: str) -> Watch | None:
        self.actors.pause()
        return self.runs.get(org_id, key)

    def events(self, org_id: int, key: str, **which: Any) -> Any:
        self.actors.pause()
        return self.runs.events(org_id, key, **which | {"limit": 3})

    # what happens

    def write(self, *, ends: bool) -> None:
        """Append two events, or the end, and tell whoever follows, as the poller does."""
        watch = self.runs.get(ORG, KEY)
        assert watch
        writer = Writer(watch.position, run_id=7, now=self.clock.now())
        if ends:
            writer.ended(Status.COMPLETED, {"turn": 1})
            watch = watch.model_copy(update={"status": Status.COMPLETED})
        else:
            writer.add("run.log", {"position": watch.seq})
            writer.add("run.log", {"position": watch.seq + 1})
        written = self.runs.write(watch.at(writer.position), writer.events)
        self.actors.start(lambda: self.publish(writer.events if written else ()))

    def publish(self, fresh: Any = ()) -> None:
        for subscription in self.table.subscribers(ORG, KEY):
            self.sender().send(subscription, until=self.clock.now() + 3, fresh=fresh)

    def connect(self) -> None:
        """Come back with the last id that was seen, as a client whose connection has ended."""
        self.receive()
        if self.over:
            return
        self.connected += 1
        connection_id = f"c{self.connected}"
        self.connections.open(connection_id)
        seen = events(self.frames)
        epoch, seq = (seen[-1]["epoch"], seen[-1]["seq"]) if seen else (0, 0)
        subscription = Subscription(
            connection_id=connection_id, org_id=ORG, key=KEY, id=connection_id, run_id=7, epoch=epoch, seq=seq,
            due_at=0, expires_at=2_000_000,
        )  # fmt: skip
        self.actors.start(lambda: self.sender().begin(subscription, until=self.clock.now() + 20) and None)

    def cut(self) -> None:
        """End the client's connection, of which the backend hears nothing; what is under way to it gets lost."""
        self.connections.frames.clear()

    def receive(self) -> None:
        current = self.connections.frames.get(f"c{self.connected}")
        if current:
            self.frames += current
            current.clear()

    def look(self) -> None:
        for subscription in self.table.due(round(self.clock.now() * 1000), 100):
            self.sender().send(subscription, until=self.clock.now() + 8)

    @property
    def over(self) -> bool:
        return any(frame["type"] == "stream.end" for frame in self.frames)

    def settle(self) -> None:
        """Let time pass without further trouble, with a client that comes back when it is cut off."""
        self.connections.trouble.clear()
        for _ in range(60):
            self.actors.finish()
            self.receive()
            if self.over:
                return
            connection_id = f"c{self.connected}"
            if connection_id not in self.connections.frames or connection_id not in self.table.subscribed:
                self.connect()  # cut off, or its subscription was never confirmed
                continue
            self.clock.sleep(61)
            self.look()
        raise AssertionError("the client never heard of the end")


def _trouble(world: World, error: Exception, *, after: bool, at: int = 0) -> None:
    """Have a post fail: the next one, or that which is `at` after it."""
    if not world.connections.trouble:
        world.connections.after = after
        world.connections.trouble = [*[None] * at, error]


ACTIONS: dict[str, Callable[[World], None]] = {
    "connect": lambda world: None if f"c{world.connected}" in world.connections.frames else world.connect(),
    "receive": World.receive,
    "cut": World.cut,
    "look": lambda world: world.actors.start(world.look),
    "another publisher": lambda world: world.actors.start(world.publish),
    "rest": lambda world: world.actors.finish(),
    "wait": lambda world: world.clock.sleep(6),
    "wait long": lambda world: world.clock.sleep(40),
    "slow viewer": lambda world: _trouble(world, Congested(), after=False),
    "slow viewer later": lambda world: _trouble(world, Congested(), after=False, at=2),
    "lost answer": lambda world: _trouble(world, EffectUnknown(), after=True),
    "lost frame": lambda world: _trouble(world, EffectUnknown(), after=False),
}


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int]]:
    steps = st.tuples(st.just("step"), st.integers(0, 5))
    writes = st.tuples(st.just("write"), st.just(0))
    deaths = st.tuples(st.just("die"), st.integers(0, 5))
    others = st.tuples(st.sampled_from(sorted(ACTIONS)), st.just(0))
    return draw(st.lists(st.one_of(steps, steps, steps, writes, others, deaths), min_size=60, max_size=150))


@settings(max_examples=examples(200))
@given(stories())
def test_a_client_gets_every_event_once_and_in_order(story: list[tuple[str, int]]) -> None:
    world = World()
    world.connect()
    writes = 0
    for what, choice in story:
        if what in ("step", "die"):
            if world.actors.left:
                world.actors.step(choice, dies=what == "die")
        elif what == "write":
            if writes < LASTS:
                writes += 1
                world.write(ends=writes == LASTS)
        else:
            ACTIONS[what](world)
    while writes < LASTS:
        writes += 1
        world.write(ends=writes == LASTS)
    world.settle()

    written = [event.id for event in world.runs.events(ORG, KEY)]
    assert [event["id"] for event in events(world.frames)] == written
    assert [frame["type"] for frame in world.frames].count("stream.end") == 1
    assert world.frames[-1]["type"] == "stream.end"
    assert world.table.followed(f"c{world.connected}") == []
