"""How much the property tests and the simulations try.

`quick` is for while you wait (`make test`), `full` for CI (`make test-all`, or `pytest --hypothesis-profile=full`).
"""

from hypothesis import HealthCheck, settings

_QUICK_SHARE = 10


def register() -> None:
    """Register both profiles with Hypothesis, and load the quick one."""
    # A machine that runs three workers on two cores is slow at times: no example has a deadline.
    common = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("full", common)
    settings.register_profile("quick", common, max_examples=examples(common.max_examples, profile="quick"))
    settings.load_profile("quick")


def is_full() -> bool:
    """Return whether the current profile is the full one."""
    return settings.get_current_profile_name() == "full"


def examples(full: int, *, profile: str | None = None) -> int:
    """Return how many examples to try in this profile, by default the current one, of those that the full one tries."""
    return full if (profile or settings.get_current_profile_name()) == "full" else full // _QUICK_SHARE
