"""Answers with half a surrogate pair: DynamoDB takes no such text, and no JSON parser reads it again."""

import json

import httpx
import pytest

from codegen_runs import aws
from local.fake_codegen import FakeCodegen, FakeTransport, Script
from tests.support import backend, handlers
from tests.support.aws import Aws
from tests.support.events import call, rest
from tests.unit.multi_runs.flow import PATH, Runs, create, events, get, task

MARK = "HALF-A-PAIR"


class Halves(FakeTransport):
    """Codegen, whose answers have half a surrogate pair in the place of a mark."""

    def __init__(self, fake: FakeCodegen, half: str) -> None:
        super().__init__(fake)
        self._half = half.encode()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        content = response.read().replace(MARK.encode(), self._half)
        return httpx.Response(response.status_code, content=content, headers={"Content-Type": "application/json"})


class Strict(Aws):
    """Services that refuse half a surrogate pair, as those of AWS do."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        json.dumps(json.loads(request.read()), ensure_ascii=False).encode()
        return super().handle_request(request)


def saying(text: str) -> Script:
    return Script(seconds=1, steps=1, result=text, pull_request=False)


@pytest.mark.parametrize(
    ("half", "strategy"),
    [(r"\ud83d", "synthesize"), (r"\ude00", "select"), (r"\ude00\ud83d", "none")],
    ids=["the first half", "the second half", "both in the wrong order"],
)
def test_half_a_surrogate_pair_in_an_answer_becomes_a_replacement_character(
    half: str, strategy: str, upstream: Runs, fake: FakeCodegen
) -> None:
    runs = Runs(fake, upstream.clock, codegen=backend.codegen(Halves(fake, half)))
    shown = "\ufffd" * (len(half) // 6)
    for text in (f"Use a lock {MARK} around the cache.", f"Use a queue of {MARK} writes instead."):
        fake.script(saying(text))
    with aws.wire.over(Strict()):
        multi_run_id = create(
            {"prompt": "Fix the race.", "concurrency": 2, "strategy": strategy, "judge": "never"}
        ).json["id"]
        runs.launch(multi_run_id)
        fake.script(saying(f"A lock {MARK} or a queue: the lock is simpler."))
        runs.gather(multi_run_id)
        task("publish", multi_run_id)
        multi_run = get(multi_run_id).json
        compared = call(handlers.handler("multi_runs/compare"), rest("GET", f"{PATH}/{multi_run_id}/compare"))
        log = events(multi_run_id)

    assert multi_run["status"] == "completed"
    assert sorted(each["result"] for each in multi_run["candidates"]) == [
        f"Use a lock {shown} around the cache.",
        f"Use a queue of {shown} writes instead.",
    ]
    if strategy != "none":
        assert shown in multi_run["answer"]["text"]
    assert (compared.status, log.status) == (200, 200)
    for answer in (multi_run, compared.json, log.json):
        json.dumps(answer, ensure_ascii=False).encode()
