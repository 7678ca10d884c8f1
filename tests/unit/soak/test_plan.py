"""The plan of a soak: the same seed gives the same plan."""

from collections import Counter

from local.soak.plan import Action, Load, View, make

LOAD = Load(seed=7, callers=30, seconds=300, pause=10)


def test_a_seed_gives_the_same_plan_again_and_another_seed_another_one() -> None:
    assert make(LOAD) == make(LOAD)
    assert make(LOAD) != make(Load(seed=8, callers=30, seconds=300, pause=10))


def test_a_longer_soak_begins_like_a_shorter_one() -> None:
    longer = make(Load(seed=7, callers=30, seconds=600, pause=10))

    assert tuple(step for step in longer if step.at < 300) == make(LOAD)


def test_every_caller_every_action_and_every_view_occurs_and_no_key_twice() -> None:
    steps = make(LOAD)

    assert {step.caller for step in steps} == set(range(30))
    assert {step.action for step in steps} == set(Action)
    assert {step.view for step in steps} == set(View)
    assert max(Counter(step.key for step in steps).values()) == 1
    assert [step.at for step in steps] == sorted(step.at for step in steps)
    assert steps[-1].at < 300
