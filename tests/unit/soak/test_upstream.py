"""Trouble at the fake Codegen in a soak: a share of the calls, the same for the same seed."""

from local.soak.upstream import KINDS, SeededTroubles

CALLS = 2000


def met(seed: int, share: float = 0.2) -> list[object]:
    troubles = SeededTroubles(seed=seed, share=share, on=True)
    return [troubles.next("create") for _ in range(CALLS)]


def test_a_share_of_the_calls_meets_trouble_of_every_kind() -> None:
    troubles = [trouble for trouble in met(1) if trouble]

    assert 300 < len(troubles) < 500
    assert all(kind in troubles for kind in KINDS)


def test_the_same_calls_meet_the_same_trouble() -> None:
    assert met(1) == met(1) != met(2)


def test_there_is_no_trouble_while_it_is_off_and_none_is_counted() -> None:
    troubles = SeededTroubles(seed=1, share=1.0)

    assert troubles.next("create") is None
    troubles.on = True
    assert troubles.next("create") == SeededTroubles(seed=1, share=1.0, on=True).next("create")
    assert [trouble.target for trouble in troubles.met] == ["create"]
