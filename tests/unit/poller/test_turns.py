"""Whose turn is next: by organization and then by caller, so that nothing starves."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from codegen_runs.storage.turns import KEPT, Level, Turns
from tests.support.profiles import examples


@dataclass(frozen=True)
class Run:
    organization: str
    caller: str
    since: int = 0


def serve(turns: Turns, waiting: list[Run], count: int, now: int = 0) -> tuple[Turns, list[Run]]:
    served = turns.order(waiting, count)
    for run in served:
        waiting.remove(run)
        turns = turns.served(run, now)
    return turns, served


def test_organizations_have_turns_and_then_their_callers() -> None:
    waiting = [Run("a", "1", number) for number in range(9)] + [
        Run("a", "2", 100),
        Run("b", "3", 101),
        Run("b", "3", 102),
    ]
    ordered = Turns().order(waiting)

    assert [run.organization for run in ordered] == ["a", "b", "a", "b", *"aaaaaaaa"]
    assert [run.caller for run in ordered if run.organization == "a"] == ["1", "2", *"11111111"]
    assert [run.since for run in ordered if run.caller == "1"] == list(range(9))
    assert Turns().order(waiting, 3) == ordered[:3]


def test_who_did_not_wait_has_saved_nothing_up() -> None:
    turns, _ = serve(Turns(), [Run("a", "1", number) for number in range(50)], 50)
    waiting = [Run("a", "1", 50 + number) for number in range(20)] + [
        Run("b", "2", 99 + number) for number in range(20)
    ]

    _, served = serve(turns, waiting, 20)
    assert Counter(run.organization for run in served) in ({"a": 10, "b": 10}, {"a": 9, "b": 11})


def test_only_tags_ahead_of_the_virtual_time_are_stored() -> None:
    turns, waiting = Turns(), [Run(str(number % 40), str(number % 80), number) for number in range(400)]
    for _ in range(100):
        turns, _ = serve(turns, waiting, 4)

    assert len(turns.organizations.finish) <= 40
    assert all(len(level.finish) <= 2 for level in turns.callers.values())
    assert list(turns.served(Run("a", "1"), KEPT * 1000 + 1).callers) == ["a"]
    assert Level(time=7, finish={"a": 8}).start("b") == 7


Flow = tuple[int, int]
# In each step some runs arrive, as (organization, caller), and some are launched.
STEPS = st.lists(
    st.tuples(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=12), st.integers(0, 6)), max_size=40
)


@settings(max_examples=examples(300))
@given(STEPS)
def test_nothing_starves(steps: list[tuple[list[Flow], int]]) -> None:
    """A run waits for at most two turns of each other flow per run of its own caller before it and itself."""
    turns, waiting, since = Turns(), list[Run](), 0
    launches, deadlines = 0, dict[Run, int]()
    for arrivals, count in [*steps, ([], 1_000)]:
        for organization, caller in arrivals:
            since += 1
            run = Run(f"o{organization}", f"c{caller}", since)
            before = sum(other.organization == run.organization and other.caller == run.caller for other in waiting)
            waiting.append(run)
            # Five organizations of four callers: each turn of the caller takes at most four turns of its organization,
            # and each of those at most five launches. One turn more, because those in front may be a turn behind.
            deadlines[run] = launches + (before + 2) * 4 * 5
        turns, served = serve(turns, waiting, count)
        for number, run in enumerate(served, launches + 1):
            assert number <= deadlines.pop(run)
        launches += len(served)

    assert not waiting


@settings(max_examples=examples(300))
@given(STEPS)
def test_flows_that_wait_all_the_time_get_the_same(steps: list[tuple[list[Flow], int]]) -> None:
    turns, waiting, got = Turns(), list[Run](), Counter[str]()
    steady = [Run(organization, caller, 10**9) for organization in ("x", "y") for caller in ("p", "q")]
    since = 0
    for arrivals, count in steps:
        for organization, caller in arrivals:
            since += 1
            waiting.append(Run(f"o{organization}", f"c{caller}", since))
        for _ in range(count):
            turns, served = serve(turns, [*steady, *waiting], 1)
            if served[0] in waiting:
                waiting.remove(served[0])
            got[served[0].organization] += 1
            got[served[0].organization + served[0].caller] += 1
            assert abs(got["x"] - got["y"]) <= 2
            assert abs(got["xp"] - got["xq"]) <= 2
            assert abs(got["yp"] - got["yq"]) <= 2
            assert all(got[f"o{number}"] <= got["x"] + 2 for number in range(5))
