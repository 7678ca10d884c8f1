"""What the benchmark reads from the history of an execution, and the baseline that it computes."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks import cost, executions
from benchmarks.executions import Execution
from tests.support.sources import ROOT

PAGE = (ROOT / "docs" / "multi-runs.md").read_text("utf-8")
START = datetime(2026, 1, 1, tzinfo=UTC)


def history(*steps: tuple[str, int, float]) -> list[Any]:
    """Return events, each with its type, the event that it follows, and its second."""
    events: list[Any] = []
    for number, (kind, previous, second) in enumerate(steps, start=1):
        event = {
            "id": number,
            "type": kind,
            "previousEventId": previous,
            "timestamp": START + timedelta(seconds=second),
        }
        if kind == "TaskScheduled":
            parameters = {"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:Launch"}
            event["taskScheduledEventDetails"] = {"parameters": json.dumps(parameters)}
        events.append(event)
    return events


ONE_WAITING_TASK = history(
    ("ExecutionStarted", 0, 0.0),
    ("TaskStateEntered", 1, 0.0),
    ("TaskScheduled", 2, 0.0),
    ("TaskStarted", 3, 1.0),
    ("TaskSubmitted", 4, 1.5),
    ("TaskSucceeded", 5, 600.0),
    ("TaskStateExited", 6, 600.0),
    ("ExecutionSucceeded", 7, 600.0),
)


def test_a_task_that_waits_for_its_token_is_billed_until_its_function_returns() -> None:
    found = executions.read(ONE_WAITING_TASK, candidates=1)

    assert found == Execution(candidates=1, events=8, transitions=2, tasks={"Launch": [0.5]})


def test_each_candidate_of_a_distributed_map_has_a_start_and_a_state_of_its_own() -> None:
    events = history(("ExecutionStarted", 0, 0.0), ("MapStateEntered", 1, 0.0), ("MapRunStarted", 2, 0.0))

    assert executions.read(events, candidates=100) == Execution(100, events=3, transitions=2 + 200, tasks={})


def test_the_baseline_has_three_transitions_more_every_thirty_seconds_of_each_run() -> None:
    found = executions.polling(executions.read(ONE_WAITING_TASK, candidates=1))

    loops = 2 * cost.RUN_SECONDS // 30  # of the candidate and of the synthesis
    assert found.transitions == 2 + 3 * loops
    assert found.events == 8 + 9 * loops
    assert found.tasks == {"Launch": [0.5], "Check": [0.5] * loops}


def test_the_price_is_that_of_the_transitions_and_of_the_functions() -> None:
    found = executions.dollars(Execution(5, 76, 14, {"Plan": [1.0, 3.0]}), times=1000)

    assert found["Step Functions"] == pytest.approx(0.35)
    assert found["Lambda"] == pytest.approx(2000 * 0.20 / 1e6 + 4000 * 0.5 * 0.0000166667)


def test_the_documentation_has_the_transitions_and_events_of_the_baseline() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| [\d.]+ \| ([\d,]+) \| ([\d,]+) \|", PAGE, re.MULTILINE)

    assert [int(row[0]) for row in rows] == [executions.FEW, executions.MANY]
    for row in rows:
        candidates, events, transitions, polled_events, polled = (int(number.replace(",", "")) for number in row)
        baseline = executions.polling(Execution(candidates, events, transitions, {"Plan": [1.0]}))
        assert (events, transitions) == (38 + 8 * candidates, 10 + candidates)
        assert (polled_events, polled) == (baseline.events, baseline.transitions)
