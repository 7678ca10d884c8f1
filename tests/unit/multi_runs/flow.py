"""A multi-run through its handlers: the endpoints, and the tasks that the state machine calls."""

import json
from typing import Any

import httpx

from codegen_api import CodegenAPI
from codegen_runs.poller.candidates import RecordedCandidates
from codegen_runs.poller.loop import Poller
from codegen_runs.poller.publisher import NoViewers
from codegen_runs.storage.multi_runs import MultiRun
from codegen_runs.storage.runs import Watch
from local.fake_codegen import FakeCodegen, FakeTransport
from tests.support import backend, handlers
from tests.support.events import Answer, Context, call, current, invoke, rest

ORG = 123
PATH = f"/v1/organizations/{ORG}/multi-runs"


def create(body: Any = None, path: str = PATH) -> Answer:
    return call(handlers.handler("multi_runs/create"), rest("POST", path, body=body or {"prompt": "Say hello."}))


def get(multi_run_id: str) -> Answer:
    return call(handlers.handler("multi_runs/get"), rest("GET", f"{PATH}/{multi_run_id}"))


def cancel(multi_run_id: str) -> Answer:
    return call(handlers.handler("multi_runs/cancel"), rest("POST", f"{PATH}/{multi_run_id}/cancel"))


def events(multi_run_id: str, query: str = "") -> Answer:
    return call(handlers.handler("multi_runs/events"), rest("GET", f"{PATH}/{multi_run_id}/events{query}"))


def types(multi_run_id: str) -> list[str]:
    """Return the types of the events of a multi-run, without the name of the object."""
    return [event["type"].removeprefix("multi_run.") for event in events(multi_run_id).json["items"]]


def task(name: str, multi_run_id: str, **more: Any) -> Any:
    event = {"org_id": ORG, "multi_run_id": multi_run_id, **more}
    return json.loads(json.dumps(invoke(handlers.handler(f"multi_runs/{name}"), event, Context())))


class MergedPullRequests(FakeTransport):
    """Codegen with a field of pull requests that its document does not have, but that its own client reads."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        content = response.read().replace(b'"head_branch_name":', b'"merged":true,"head_branch_name":')
        return httpx.Response(response.status_code, content=content, headers={"Content-Type": "application/json"})


class Runs:
    """The upstream and the poller, which follow the runs until they have ended."""

    def __init__(self, fake: FakeCodegen, clock: backend.TestClock, codegen: CodegenAPI | None = None) -> None:
        self.fake = fake
        self.clock = clock
        self.tokens = backend.Tokens()
        # Short runs need less than this.
        self.ticks, self.seconds = 5, 58.0
        self._poller = Poller(
            runs=current().runs,
            codegen=codegen or backend.codegen(FakeTransport(fake)),
            tokens=self.tokens,
            clock=clock,
            holder="me",
            concurrency=1,
            candidates=RecordedCandidates(current(), NoViewers()),
        )

    def follow(self, ticks: int | None = None) -> None:
        for _ in range(ticks or self.ticks):
            self._poller.tick(self.clock.now() + self.seconds)
            self.clock.sleep(2)

    def launch(self, multi_run_id: str) -> None:
        """Plan a multi-run, launch its candidates, and follow them to their ends."""
        self._candidates(multi_run_id, task("plan", multi_run_id))

    def gather(self, multi_run_id: str) -> list[str]:
        """Do what `Gather` decides, until it decides to publish; return its decisions. Each task is called twice."""
        decisions, state = [], {"next": "launch", "wave": 1}
        while state["next"] != "publish":
            state, _ = (task("gather", multi_run_id, **_without_ids(state)) for _ in range(2))
            decisions.append(state["next"])
            assert len(decisions) < 20, decisions
            if state["next"] == "launch":
                self._candidates(multi_run_id, state)
            elif state["next"] == "judge":
                for number in 2 * state["judge_runs"]:
                    task("ask", multi_run_id, judge_run=number, task_token=f"judge-{number}")
                self.follow()
            elif state["next"] == "synthesize":
                for _ in range(2):
                    task("synthesize", multi_run_id, task_token="synthesis")
                self.follow()
        return decisions

    def _candidates(self, multi_run_id: str, state: dict[str, Any]) -> None:
        for index in state["candidates"]:
            task("launch", multi_run_id, index=index, task_token=f"token-{index}")
        self.follow()


def _without_ids(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name not in ("org_id", "multi_run_id")}


def stored(multi_run_id: str) -> MultiRun:
    """Return a multi-run as it is stored."""
    found = current().multi_runs.get(ORG, multi_run_id)
    assert found is not None
    return found


def watch(multi_run_id: str, index: int) -> Watch:
    """Return the watch of a candidate's run."""
    found = current().runs.get(ORG, f"{multi_run_id}-{index}")
    assert found is not None
    return found
