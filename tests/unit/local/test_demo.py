"""The requests and the output of the demo, over a fake API."""

from __future__ import annotations

import json
import re
from io import StringIO
from itertools import count
from typing import Any

import httpx
import pytest
from rich.console import Console

from local import demo


def snapshot(status: str, *statuses: str, **more: Any) -> dict[str, Any]:
    candidates = [
        {"index": index, "status": status, "agent_run_id": 100 + index, "reason": None, "result": "[red] and more"}
        for index, status in enumerate(statuses)
    ]
    counts = {"requested": len(candidates), "finished": statuses.count("completed"), "usable": 0}
    return {"id": "mr-1", "status": status, "counts": counts, "candidates": candidates, "reason": None, **more}


class FakeApi:
    """Answers the POST with the first snapshot and each GET with the next. A number is an answer with that status."""

    def __init__(self, *answers: dict[str, Any] | int, base_path: str = "") -> None:
        self.answers = list(answers)
        self.base_path = base_path
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return httpx.Response(answer, text="no")
        status = 202 if request.method == "POST" else 200
        return httpx.Response(
            status, json=answer, headers={"Location": f"{self.base_path}/v1/organizations/123/multi-runs/mr-1"}
        )


def play(fake: FakeApi, *, terminal: bool = False, seconds_per_read: float = 0.5, api_url: str = "http://api") -> str:
    """Run the demo on a clock that only reads move, and return its output."""
    screen, ticks = StringIO(), count(1000)
    console = Console(file=screen, force_terminal=terminal, width=100, color_system=None)
    with httpx.Client(transport=httpx.MockTransport(fake), base_url=api_url) as api:
        clock = lambda: next(ticks) * seconds_per_read  # noqa: E731
        demo.run(api, 123, console=console, prompt="Say hi", sleep=lambda _: None, clock=clock)
    return screen.getvalue()


ANSWER = {"text": "The [bold] answer", "source": "synthesis"}


def test_it_starts_a_multi_run_and_prints_its_answer():
    fake = FakeApi(
        snapshot("queued", "queued", "queued", "queued"),
        snapshot("running", "completed", "running", "running"),
        snapshot("completed", "completed", "completed", "completed", answer=ANSWER),
    )

    shown = play(fake)

    create, *reads = fake.requests
    assert (create.method, create.url.path) == ("POST", "/v1/organizations/123/multi-runs")
    assert json.loads(create.content) == {"prompt": "Say hi", "concurrency": 3, "judge": "always", "judges": 2}
    assert {(read.method, read.url.path) for read in reads} == {("GET", "/v1/organizations/123/multi-runs/mr-1")}
    location = "/v1/organizations/123/multi-runs/mr-1"
    assert shown.startswith(f"POST /v1/organizations/123/multi-runs -> 202, Location: {location}\nPrompt: Say hi\n")
    assert shown.endswith("The [bold] answer\n")
    assert "answer (synthesis)" in shown


def test_it_reads_the_multi_run_below_a_base_path():
    fake = FakeApi(snapshot("queued"), snapshot("completed", answer=ANSWER), base_path="/codegen")

    play(fake, api_url="http://api/codegen")

    assert {request.url.path for request in fake.requests[1:]} == {"/codegen/v1/organizations/123/multi-runs/mr-1"}


def test_the_logs_of_each_candidate_are_shown_as_they_arrive():
    def running(log_count: int) -> dict[str, Any]:
        found = snapshot("running", "running")
        found["candidates"][0]["log_count"] = log_count
        return found

    def page(cursor: str, *thoughts: str) -> dict[str, Any]:
        entries = [{"tool_name": "search", "tool_input": {"query": text}} for text in thoughts]
        logs = [{"type": "run.log", "data": {"log": entry}} for entry in entries]
        return {"items": [{"type": "run.started", "data": {}}, *logs], "next_cursor": cursor}

    done = snapshot("completed", "completed", answer=ANSWER)
    fake = FakeApi(running(0), running(2), page("0-3", "One.", "Two."), running(2), running(3), 500, running(3),
                   page("0-4", "Three."), done)  # fmt: skip

    lines = [line for line in play(fake).splitlines() if "|" in line]

    assert lines == [f"candidate 1 | search: {word}." for word in ("One", "Two", "Three")]
    reads = [request.url for request in fake.requests if request.url.path.endswith("/agent/run/100/events")]
    assert [url.params.get("after") for url in reads] == [None, "0-3", "0-3"]


def test_without_a_terminal_each_change_is_one_line():
    running = snapshot("running", "running", synthesis=None)
    fake = FakeApi(
        running, running, snapshot("completed", "completed", synthesis={"status": "completed"}, answer=ANSWER)
    )

    lines = play(fake).splitlines()

    assert lines.count("candidate 1: running, agent run 100") == 1
    assert lines.count("candidate 1: completed, agent run 100") == 1
    assert lines.count("synthesis: completed") == 1
    assert lines.index("mr-1: running") < lines.index("mr-1: completed")


def test_a_finished_candidate_shows_what_differs_from_the_others():
    done = snapshot("completed", "completed", "completed", "completed", answer=ANSWER)
    texts = ("# Merge\n\n**Test first.**\nTidy up.", "# Merge\n\n**Measure first.**\nTidy up.", "# Merge\n\nTidy up.")
    for candidate, text in zip(done["candidates"], texts, strict=True):
        candidate["result"] = text

    lines = play(FakeApi(snapshot("queued"), done)).splitlines()
    table = play(FakeApi(snapshot("queued"), done), terminal=True)

    assert [line for line in lines if " > " in line] == [
        "candidate 1 > Test first.",
        "candidate 2 > Measure first.",
        "candidate 3 > Tidy up.",
    ]
    assert re.search(r"2\W+completed\W+101\W+Measure first\.", table)


def test_a_terminal_shows_a_table():
    fake = FakeApi(snapshot("running", "running"), snapshot("completed", "completed", synthesis=None, answer=ANSWER))

    shown = play(fake, terminal=True)

    assert "candidate" in shown
    assert re.search(r"1\W+completed\W+100\W+\[red\] and more", shown)
    assert "mr-1: completed" in shown


def test_the_ranking_and_the_provenance_follow_the_answer():
    places = [
        {"candidate": 1, "rank": 1, "points": 3, "reasons": ["It is tested."]},
        {"candidate": 0, "rank": 2, "points": None, "reasons": []},
    ]
    judging = {
        "judges": [{"number": 1, "status": "completed", "agent_run_id": 103}],
        "ranking": places,
        "by_judges": False,
        "pairs_in_both_orders": 1,
        "contradictions": [{}],
    }
    blocks = [
        {"text": "Merge them.\nSlowly.", "sources": [{"candidate": 1, "score": 0.5}, {"candidate": 0, "score": 0.25}]},
        {"text": "Ship [it].", "sources": []},
    ]
    provenance = {"blocks": blocks, "left_out": [{"candidate": 0, "taken": 1, "blocks": 4}]}
    done = snapshot("completed", "completed", answer=ANSWER | {"provenance": provenance}, judging=judging)

    lines = play(FakeApi(snapshot("queued"), done)).splitlines()

    assert "judge 1: completed, agent run 103" in lines
    shown = [line for line in lines[lines.index("The [bold] answer") + 1 :] if not line.startswith("\u2500")]
    assert shown == [
        "1. candidate 2 (3 points): It is tested.",
        "2. candidate 1",
        "Of 1 pairs, the judges ranked 1 differently in the opposite order.",
        "The evidence decides the first place, not the judges.",
        "Merge them. <- candidates 2 (50%), 1 (25%)",
        "Ship [it]. <- novel",
        "Of candidate 1, the answer has 1 of 4 blocks.",
    ]


def test_the_failure_of_a_multi_run_is_reported_with_its_reasons():
    failed = snapshot("failed", "failed", reason="no candidate is usable")
    failed["candidates"][0]["reason"] = "out of credits"

    with pytest.raises(
        demo.DemoError, match=r"(?s)failed: no candidate is usable.*candidate 1: failed: out of credits"
    ):
        play(FakeApi(failed))


def test_a_refusal_is_reported():
    with pytest.raises(demo.DemoError, match="refused: 402 no"):
        play(FakeApi(402))


def test_a_few_failed_reads_do_not_end_the_demo():
    done = snapshot("completed", "completed", answer=ANSWER)

    assert "The [bold] answer" in play(FakeApi(snapshot("running", "running"), 502, 502, done))


def test_a_multi_run_that_makes_no_progress_for_four_hours_ends_the_demo():
    running = snapshot("running", "running")

    with pytest.raises(demo.DemoError, match="mr-1 is still running"):
        play(FakeApi(*[running] * 6), seconds_per_read=3600)


def test_too_many_failed_reads_end_the_demo():
    with pytest.raises(demo.DemoError, match="cannot be read: 502"):
        play(FakeApi(snapshot("running", "running"), *[502] * 20))
