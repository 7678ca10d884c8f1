"""A short soak: few callers, all faults, and no promise broken."""

import sys

import pytest

from local.soak.checking import check
from local.soak.plan import Load
from local.soak.report import text
from local.soak.soaking import RATES, soak, workers

# The poller and the sender of webhooks are not killed: both would pause for longer than this soak lasts.
SPARED = {f"{fault} {function}": 0.0 for fault in ("killed", "crashed") for function in ("PollRuns", "SendWebhooks")}
SHORT = RATES | {"repeated": 0.3} | SPARED


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of processes is read from /proc")
def test_the_processes_of_a_function_are_found_by_their_log(deploy, tmp_path) -> None:
    function = deploy("import os\ndef handler(event, context): return os.getpid()")
    _, pid = function()

    assert list(workers(tmp_path.resolve())) == [(pid, "Function")]


@pytest.mark.full
def test_a_short_soak_with_faults_breaks_no_promise() -> None:
    load = Load(seed=25, callers=4, seconds=20, pause=4)

    soaked = soak(load, settle=180, rates=SHORT)

    violations = check(soaked.history)
    report = text(load, soaked, violations)
    assert violations == [], report
    assert soaked.settled_after is not None, report
    assert len(soaked.history.faults) > 3, report
    assert soaked.history.troubles, report
    assert soaked.history.started, report
    assert soaked.history.multi_runs, report
    assert soaked.history.received, report
    assert soaked.history.agents, report
    assert len(soaked.history.audit) > len(soaked.history.agents), report
