"""How the benchmarks compute their figures. Their measurements are not tested."""

import json
from platform import machine

import pytest

from benchmarks import artifacts
from benchmarks.console import Drawing, Load, frames_of_a_log, report
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


def test_the_wheels_that_are_measured_run_on_this_processor() -> None:
    platforms = [option for option in artifacts._RuntimeWheels.options if option.startswith("--platform=")]
    processor = {"arm64": "aarch64"}.get(machine(), machine())

    assert platforms
    assert all(platform.startswith("--platform=manylinux") and platform.endswith(processor) for platform in platforms)


def test_the_longest_frame_of_the_console_is_that_of_the_middle_run() -> None:
    drawings = [Drawing([16, longest, 16], seconds=2) for longest in (20, 90, 50.1)]
    heaps, delays = {5: 20_000_000, 20: 23_000_000}, [0.5, 1, 9]
    section = report(Load(80_000, 15, 1.0), drawings, {1: 5, 10: 50}, heaps, delays)

    assert {target.name: (target.value, target.met) for target in section.targets} == {
        "bytes of the first load": (80_000, True),
        "longest frame in ms": (50, True),
        "calls that more consoles add": (45, False),
        "heap, 20 runs to 5": (1.15, False),
        "log to pixel, median in poll intervals": (0.5, True),
    }


def test_the_stream_of_the_console_has_the_events_of_a_log_in_their_order() -> None:
    frames = frames_of_a_log(3, first=7).split("\n\n")[:-1]

    events = [json.loads(frame.partition("data: ")[2]) for frame in frames]
    assert [event["id"] for event in events] == ["0-7", "0-8", "0-9"]
    assert [event["data"]["position"] for event in events] == [7, 8, 9]
