"""How often the best candidate wins, with simulated judges whose accuracy and position bias are known.

The judges are simulated; the choice of their orders, the reading of their replies and the count are those of the
deployment. A simulated judge draws a utility for each candidate and ranks by it. The utility is the sum of the
candidate's quality, a bonus for its place in the prompt, and Gumbel noise, so that two numbers describe the judge:

- *accuracy* p: how often it prefers the better of two neighbours in quality, without a bonus;
- *position bias* b: of two equal candidates at neighbouring places, it prefers the first one in (1 + b) / 2 of cases.

The evidence says nothing: where the judges decide nothing, a random order does.
"""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING

from benchmarks.report import Section, Target
from codegen_runs.multi_runs import judges
from codegen_runs.multi_runs.judging import judge
from codegen_runs.multi_runs.verdicts import labels_for
from codegen_runs.statuses import Status
from codegen_runs.storage.multi_runs import MultiRun, Ranking, Standing, Strategy, SynthesisOptions, Variant
from codegen_runs.storage.runs import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence


FIVE, TWENTY = 5, 20
ACCURACIES = (0.65, 0.8, 0.9)
BIASES = (0.0, 0.2, 0.4, 0.6, 0.8)

TRIALS = 400
"""The multi-runs for each number in `docs/multi-runs.md`."""


class SimulatedJudge:
    """A judge of candidates whose quality falls with their index: candidate 0 is the best."""

    def __init__(self, accuracy: float, bias: float, rng: random.Random) -> None:
        self._quality = math.log(accuracy / (1 - accuracy))
        self._bonus = math.log((1 + bias) / (1 - bias))
        self._rng = rng

    def reply(self, order: Sequence[int]) -> str:
        """Rank candidates in the order of a prompt."""
        labels = dict(zip(order, labels_for(len(order)), strict=True))
        utilities = {
            index: -self._quality * index - self._bonus * place - math.log(-math.log(self._rng.random()))
            for place, index in enumerate(order)
        }
        return json.dumps({"ranking": [labels[index] for index in sorted(order, key=lambda each: -utilities[each])]})


def ranking(candidates: int, orders: int, judge_: SimulatedJudge, rng: random.Random) -> tuple[Ranking, int]:
    """Rank candidates as a deployment does; return the ranking and the number of judge runs."""
    multi_run = MultiRun(
        org_id=1,
        id=f"mr-{rng.random()}",
        prompt="A task.",
        candidates=[Variant()] * candidates,
        strategy=Strategy.SELECT,
        judges=orders,
        quorum=1,
        synthesis=SynthesisOptions(),
        candidate_timeout_s=60,
        deadline_at=0,
        created_by="user:1",
        created_at=0,
    )
    watches = {key: _ended(key, f"The answer of {key}.") for key in multi_run.candidate_keys}
    usable = judge(multi_run, watches).usable
    standing = Standing(order=rng.sample(range(candidates), candidates))
    while True:
        found = judges.following(multi_run, usable, standing, is_code=False)
        if isinstance(found, Ranking):
            return found, len(multi_run.judge_runs)
        replies = [judges.read(run, _ended("judge", judge_.reply(run.order))) for run in found]
        known = {run.number: run for run in [*multi_run.judge_runs, *replies]}
        multi_run = multi_run.model_copy(update={"judge_runs": list(known.values())})


def wins(candidates: int, orders: int, *, accuracy: float, bias: float, trials: int) -> tuple[float, float]:
    """Return how often the best candidate is first, and the mean number of judge runs."""
    rng = random.Random(f"{candidates} {orders} {accuracy} {bias}")
    judge_ = SimulatedJudge(accuracy, bias, rng)
    found = [ranking(candidates, orders, judge_, rng) for _ in range(trials)]
    return sum(ranked.order[0] == 0 for ranked, _ in found) / trials, sum(runs for _, runs in found) / trials


def section(*, trials: int) -> Section:
    """Simulate all cases. The baseline of the targets is one order."""
    rows, numbers = [], {}
    for candidates in (FIVE, TWENTY):
        for accuracy in ACCURACIES:
            for bias in BIASES:
                one, both = (wins(candidates, orders, accuracy=accuracy, bias=bias, trials=trials) for orders in (1, 2))
                numbers[f"{candidates} {accuracy} {bias}"] = {"one": one, "both": both}
                shares = [f"{share * 100:.0f}" for share, _ in (one, both)]
                costs = [f"{runs:.1f}" for _, runs in (one, both)]
                rows.append([str(candidates), f"{accuracy}", f"{bias}", *shares, *costs])
    strong = numbers[f"{FIVE} 0.8 0.8"]
    none = numbers[f"{FIVE} 0.8 0.0"]
    return Section(
        title="Judges (a simulation)",
        notes=[
            f"{trials} multi-runs for each row. The judges are simulated, and the evidence says nothing.",
            "Up to ten candidates are one group; twenty are two groups, whose best five are judged again.",
        ],
        head=(
            "candidates",
            "accuracy",
            "bias",
            "best wins %, 1 order",
            "both orders",
            "judge runs, 1 order",
            "both orders",
        ),
        rows=rows,
        targets=[
            Target(
                "wins with one order / with both, accuracy 0.8, bias 0.8", strong["one"][0] / strong["both"][0], 0.8
            ),
            Target("the same without bias", none["one"][0] / none["both"][0], 1.0),
        ],
        numbers=numbers,
    )


def _ended(key: str, result: str) -> Watch:
    return Watch(org_id=1, key=key, status=Status.COMPLETED, result=result, created_at=0, updated_at=0, deadline_at=0)
