"""The simulation of judges, and its figures in the documentation."""

import re
from pathlib import Path

import pytest

from benchmarks import judging

PAGE = Path(__file__).parents[3] / "docs" / "multi-runs.md"


def test_both_orders_find_the_best_more_often_than_one_order_of_a_biased_judge() -> None:
    one, runs = judging.wins(5, 1, accuracy=0.8, bias=0.8, trials=40)
    both, runs_of_both = judging.wins(5, 2, accuracy=0.8, bias=0.8, trials=40)

    assert both > one
    assert (runs, runs_of_both) == (1.0, pytest.approx(4, abs=0.3))


def test_a_judge_that_is_always_right_finds_the_best_in_groups() -> None:
    assert judging.wins(20, 2, accuracy=0.9999, bias=0.0, trials=5) == (1.0, 6.0)


@pytest.mark.full
def test_the_plot_in_the_documentation_is_what_the_simulation_gives() -> None:
    one, both = re.findall(r"^    line \[(.+)\]$", PAGE.read_text("utf-8"), re.MULTILINE)

    for orders, line in ((1, one), (2, both)):
        shares = [judging.wins(5, orders, accuracy=0.8, bias=bias, trials=judging.TRIALS)[0] for bias in judging.BIASES]
        assert [int(number) for number in line.split(", ")] == [round(share * 100) for share in shares]
