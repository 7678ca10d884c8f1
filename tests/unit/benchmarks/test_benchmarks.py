"""How the benchmarks compute their figures. Their measurements are not tested."""

import pytest

from benchmarks.report import Pairs, Target
from benchmarks.testbed import is_own
from local.template import Function
from tests.support import backend

# The console, and operations that Codegen gained later. The baseline stays as it is, so that figures of different times
# can be compared.
LATER = {"console", "webhooks", "check_suite_settings", "cli_rules", "mcp_providers", "oauth_tokens", "slack_connect"}

# Functions that call Codegen and use no table.
ONLY_CODEGEN = [
    function
    for function in backend.template().functions.values()
    if not any(name.endswith("_TABLE") for name in function.environment) and function.code_dir.name not in LATER
]


def test_a_ratio_is_taken_within_a_pair_and_its_median_counts() -> None:
    noisy = Pairs("GetAgentRun", ours=[1, 10, 2], baseline=[2, 20, 8])

    assert noisy.ratios == [0.25, 0.5, 0.5]
    assert noisy.ratio == 0.5


@pytest.mark.parametrize(("value", "met"), [(0.69, True), (0.7, True), (0.71, False)])
def test_a_target_is_met_up_to_and_including_its_limit(value: float, met: bool) -> None:
    assert Target("median", value, limit=0.7).met is met


@pytest.mark.parametrize("function", ONLY_CODEGEN, ids=lambda function: function.name)
def test_a_function_that_only_calls_codegen_has_a_counterpart_in_the_baseline(function: Function) -> None:
    assert not is_own(function)
