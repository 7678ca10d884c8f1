"""What multi-runs give back to the budgets while other functions write at the same time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from codegen_runs.backend import Backend
from codegen_runs.budgets import spending
from codegen_runs.budgets.counting import BudgetExhausted, Need
from codegen_runs.storage.budgets import Budgets, Limits
from codegen_runs.storage.table import ConditionFailed
from tests.unit.budgets.test_budgets import Fixed

NOW = 1_800_000_000_000
CANDIDATES = 3
SPARE = 2
"""How many runs a multi-run may start besides its candidates, whose keys are not known before."""
DAILY = 12


@dataclass
class Table:
    """Budgets in memory. Before each write, another function acts, as often as planned."""

    budgets: Budgets
    between: list[Callable[[], None]] = field(default_factory=list)

    def get(self, org_id: int) -> Budgets:
        return self.budgets

    def put(self, org_id: int, budgets: Budgets) -> None:
        if self.between:
            self.between.pop()()
        if budgets.rev != self.budgets.rev:
            raise ConditionFailed
        self.budgets = budgets.model_copy(update={"rev": budgets.rev + 1})


@dataclass
class MultiRun:
    """What really happened to a multi-run."""

    id: str
    caller: str
    open: bool = False
    execution: int = -1
    counted: int = 0
    """How many runs it may start in this execution."""
    launched: set[str] = field(default_factory=set)
    earlier: set[str] = field(default_factory=set)
    """Those launched in earlier executions."""
    dropped: set[str] = field(default_factory=set)

    @property
    def expected(self) -> int:
        """How many of its runs the budgets count when nobody is at work."""
        if not self.open:
            return len(self.launched)
        return len(self.earlier) + self.counted - len(self.dropped - self.launched)


class World:
    """Functions that create, launch, drop, end and retry multi-runs."""

    def __init__(self, limit: int) -> None:
        limits = Limits(runs_per_day=limit)
        self.table = Table(Budgets(organization=limits, caller=limits).at(NOW))
        self.backend = Backend(budgets=self.table, clock=Fixed(NOW))  # type: ignore[arg-type]
        self.multi_runs = [MultiRun(f"mr-{number}", f"user:{number % 2}") for number in range(3)]

    def act(self, name: str, number: int, index: int) -> None:
        multi_run = self.multi_runs[number]
        getattr(self, f"_{name}")(multi_run, f"{multi_run.id}-{index}")

    def _start(self, multi_run: MultiRun, key: str) -> None:
        """Create a multi-run, or retry it."""
        if multi_run.open:
            return
        execution, earlier = multi_run.execution + 1, set(multi_run.launched)
        need = Need(
            caller=multi_run.caller,
            key=multi_run.id,
            runs=CANDIDATES - len(earlier) + SPARE,
            until=2**53,
            ahead=True,
            execution=execution,
            existing=tuple(sorted(earlier)),
        )
        try:
            spent = spending.take(need, org_id=1, backend=self.backend)
        except BudgetExhausted:
            return
        if multi_run.execution + 1 != execution:  # Another function was faster.
            spent.give_back()
            return
        multi_run.open, multi_run.execution, multi_run.counted = True, execution, need.runs
        multi_run.earlier = earlier
        self._drop_again(multi_run)

    def _launch(self, multi_run: MultiRun, key: str) -> None:
        if multi_run.open and key not in multi_run.dropped:
            multi_run.launched.add(key)

    def _drop(self, multi_run: MultiRun, key: str) -> None:
        if multi_run.open:
            multi_run.dropped.add(key)
            self._drop_again(multi_run)

    def _drop_again(self, multi_run: MultiRun) -> None:
        if multi_run.open:
            dropped = sorted(multi_run.dropped - multi_run.launched)
            spending.give_back_dropped(multi_run.id, dropped, org_id=1, backend=self.backend)

    def _end(self, multi_run: MultiRun, key: str) -> None:
        multi_run.open = False
        self._release(multi_run, multi_run.execution)

    def _end_late(self, multi_run: MultiRun, key: str) -> None:
        """Complete the end of an earlier execution again."""
        if multi_run.execution > 0:
            self._release(multi_run, multi_run.execution - 1)

    def _release(self, multi_run: MultiRun, execution: int) -> None:
        launched = sorted(multi_run.launched)
        spending.release(multi_run.id, launched, execution=execution, org_id=1, backend=self.backend)

    def check(self, *, settled: bool) -> None:
        budgets = self.table.budgets
        for counts in (budgets.runs_of_day, budgets.runs_of_month):
            assert sum(counts.values()) <= budgets.organization.runs_per_day  # type: ignore[operator]
            for caller in ("user:0", "user:1"):
                own = [each for each in self.multi_runs if each.caller == caller]
                assert counts.get(caller, 0) >= sum(len(each.launched) for each in own)
                if settled:
                    assert counts.get(caller, 0) == sum(each.expected for each in own)


names = st.sampled_from(["start", "launch", "launch", "drop", "end", "end_late"])
acts = st.tuples(names, st.integers(0, 2), st.integers(0, CANDIDATES - 1))
steps = st.lists(st.tuples(acts, st.lists(acts, max_size=3)), max_size=15)


def one_after_the_other(*names: str) -> list[tuple[Any, list[Any]]]:
    return [((name, 0, 0), []) for name in names]


@example(DAILY, one_after_the_other("start", "launch", "end", "start", "end"))
@example(DAILY, one_after_the_other("start", "launch", "end", "start", "end_late"))
@example(DAILY, one_after_the_other("start", "drop", "end", "start", "drop", "drop"))
@example(DAILY, [(("start", 0, 0), [("start", 0, 0)])])
@example(DAILY, [*one_after_the_other("start", "launch", "launch"), (("end", 0, 0), [("start", 0, 0)])])
@given(st.integers(0, DAILY), steps)
def test_a_run_is_given_back_once_and_never_if_it_was_launched_whatever_other_functions_do(
    limit: int, planned: list[tuple[Any, list[Any]]]
) -> None:
    world = World(limit)
    for act, others in planned:
        world.table.between = [lambda other=other: world.act(*other) for other in others]
        world.act(*act)
        left, world.table.between = world.table.between, []
        for other in left:
            other()
        world.check(settled=False)
    for multi_run in world.multi_runs:
        if not multi_run.open and multi_run.execution >= 0:
            world.act("end", int(multi_run.id[-1]), 0)
        world._drop_again(multi_run)

    world.check(settled=True)
    assert len(world.table.budgets.reserved) == sum(each.open for each in world.multi_runs)
