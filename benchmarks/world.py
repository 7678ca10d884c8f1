"""What stands around the functions while they are measured, and events for each that make it do its work once.

Where the baseline does the same, the request has the path that both know (the one without a version), so that both
sides get the very same event.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from benchmarks.sandbox import Sandbox, SandboxError
from benchmarks.upstream import upstream
from local import aws
from local.fake_codegen import DEMO_ORG_ID, DEMO_REPO_ID, DEMO_SANDBOX_ID, DEMO_TOKEN, DEMO_USER_ID
from local.fake_codegen.server import listen
from local.proxy import Call, Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from benchmarks.artifacts import Artifacts
    from benchmarks.sandbox import Answer
    from benchmarks.upstream import Upstream
    from local.template import Function, Template

Event = dict[str, Any]

ORG = f"/organizations/{DEMO_ORG_ID}"
PROMPT = "Create a React component"
RUN_ID = 100_010
OTHER_RUN_ID = 100_011
RUN = f"{ORG}/agent/run/{RUN_ID}"
OTHER_RUN = f"{ORG}/agent/run/{OTHER_RUN_ID}"

# Requests that both sides serve: method, path, body. What is read again and again is not what is changed.
SHARED: tuple[tuple[str, str, Any], ...] = (
    ("POST", f"{ORG}/agent/run", {"prompt": PROMPT, "repo_id": DEMO_REPO_ID}),
    ("GET", RUN, None),
    ("GET", f"{ORG}/agent/runs?limit=20", None),
    ("POST", f"{OTHER_RUN}/resume", {"prompt": "Now add a test"}),
    ("POST", f"{OTHER_RUN}/ban-all-checks", {}),
    ("POST", f"{OTHER_RUN}/unban-all-checks", {}),
    ("POST", f"{OTHER_RUN}/remove-codegen-from-pr", {}),
    ("GET", f"{RUN}/logs", None),
    ("GET", f"{RUN}/logs/stream", None),
    ("GET", f"{ORG}/users", None),
    ("GET", f"{ORG}/users/{DEMO_USER_ID}", None),
    ("GET", "/current-user", None),
    ("GET", "/organizations", None),
    ("GET", f"{ORG}/repos", None),
    ("GET", f"{ORG}/integrations", None),
    ("GET", f"{ORG}/models", None),
    ("POST", "/setup-commands", {"repo_id": DEMO_REPO_ID}),
    ("POST", "/sandbox/analyze-logs", {"sandbox_id": DEMO_SANDBOX_ID}),
    ("POST", "/starred-runs", {"agent_run_id": RUN_ID, "starred": True}),
    ("GET", "/starred-runs", None),
    ("POST", f"{ORG}/multi-run", {"prompt": PROMPT, "concurrency": 3, "repo_id": DEMO_REPO_ID}),
    ("GET", "/health", None),
)
# Requests that only ours serves; `*` stands for a multi-run that has just been made.
OWN: tuple[tuple[str, str, Any], ...] = (
    ("DELETE", f"/v1{ORG}/starred-runs/{RUN_ID}", None),
    ("GET", f"/v1{ORG}/multi-runs/*", None),
    ("GET", f"/v1{ORG}/multi-runs", None),
    ("POST", f"/v1{ORG}/multi-runs/*/cancel", {}),
    ("GET", "/docs", None),
)
# Tasks of the state machine: what their input has beside the ids of a multi-run that has just been made.
TASKS: dict[str, Event] = {
    "PlanMultiRun": {},
    "LaunchCandidate": {"index": 0, "task_token": "a-token"},
    "JudgeCandidates": {},
    "SynthesizeCandidates": {"task_token": "a-token"},
    "PublishMultiRun": {},
}

_CONTEXT = {
    "caller_id": f"user:{DEMO_USER_ID}",
    "user_id": str(DEMO_USER_ID),
    "organizations": str(DEMO_ORG_ID),
    "kind": "codegen",
}
_DONE_AT_ONCE = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}


class NothingToDoError(Exception):
    """There is no event for a function."""


@dataclass(frozen=True, slots=True)
class Work:
    """One function and the events for it. `shared` tells whether the baseline serves them, too."""

    function: Function
    event: Callable[[], Event]
    shared: bool = False

    @property
    def name(self) -> str:
        """The function's name in the template."""
        return self.function.logical_id


@dataclass(frozen=True)
class World:
    """An upstream, an AWS stand-in, and both sides set up to use them."""

    codegen: Upstream
    template: Template
    baseline: Function
    _creator: Sandbox

    def baseline_event(self) -> Event:
        """Return an event for the baseline where it does not do what a function does: the start is what counts."""
        return self._call("GET", RUN, None).event(_CONTEXT)

    def preparation(self) -> list[tuple[Function, Event]]:
        """Return what makes the run that is read a followed one, with an event log to stream."""
        functions = self.template.functions
        resume = self._call("POST", f"{RUN}/resume", {"prompt": PROMPT}).event(_CONTEXT)
        return [(functions["ResumeAgentRun"], resume), (functions["PollRuns"], {"kick": True})]

    def works(self) -> list[Work]:
        """Return what there is to measure: the poller first, while there is nothing to poll.

        Raises:
            NothingToDoError: the template has a function that is not thought of here.
        """
        functions = self.template.functions
        works = [
            Work(functions["PollRuns"], dict),
            *(self._request(*exchange, shared=True) for exchange in SHARED),
            *(self._request(*exchange) for exchange in OWN),
            *(Work(functions[name], partial(self._task, more)) for name, more in TASKS.items()),
            Work(functions["Authorize"], lambda: self._call("GET", RUN, None).authorizer_event()),
        ]
        if idle := functions.keys() - {work.name for work in works}:
            raise NothingToDoError(f"benchmarks/world.py knows no event for {', '.join(sorted(idle))}")
        return works

    def _request(self, method: str, path: str, body: Any, *, shared: bool = False) -> Work:
        def event() -> Event:
            found = path.replace("*", self._new_multi_run()) if "*" in path else path
            return self._call(method, found, body).event(_CONTEXT)

        name = self._call(method, path, body).route.function.logical_id
        return Work(self.template.functions[name], event, shared)

    def _call(self, method: str, path: str, body: Any) -> Call:
        """Return a request as API Gateway passes it on."""
        assert self.template.api
        path, _, query = path.partition("?")
        routes, parameters = Routes(self.template.api.routes).find(path)
        headers = {
            "accept": "*/*",
            "authorization": f"Bearer {DEMO_TOKEN}",
            "content-type": "application/json",
            "host": "example.execute-api.us-east-1.amazonaws.com",
            "user-agent": "benchmarks",
        }
        request = Request(
            {
                "type": "http",
                "http_version": "1.1",
                "method": method,
                "scheme": "https",
                "path": path,
                "raw_path": path.encode(),
                "query_string": query.encode(),
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
                "client": ("127.0.0.1", 1),
                "server": (headers["host"], 443),
            }
        )
        content = b"" if body is None else json.dumps(body).encode()
        return Call(self.template.api, routes[method], request, content, parameters, str(uuid.uuid4()), time.time())

    def _task(self, more: Event) -> Event:
        return {"org_id": DEMO_ORG_ID, "multi_run_id": self._new_multi_run(), **more}

    def _new_multi_run(self) -> str:
        request = {"prompt": PROMPT, "concurrency": 3}
        answer = self._creator.invoke(self._call("POST", f"/v1{ORG}/multi-runs", request).event(_CONTEXT)).result
        multi_run_id: str = json.loads(answer["body"])["id"]
        return multi_run_id


@contextmanager
def world(artifacts: Artifacts, condition: str, log_dir: Path) -> Iterator[World]:
    """Start everything that the functions need; `log_dir` takes what their workers write."""
    with ExitStack() as stack:
        codegen = stack.enter_context(upstream())
        stand_in = stack.enter_context(aws.serve(stack.enter_context(listen())))
        stand_in.functions = _Nobody()  # type: ignore[assignment]
        template = artifacts.template(
            {
                "AwsEndpointUrl": stand_in.url,
                "CodegenBaseUrl": codegen.url,
                "CodegenOrgId": str(DEMO_ORG_ID),
                "CodegenTokenSecret": stand_in.create_secret("codegen-token", DEMO_TOKEN),
            },
            condition,
        )
        stand_in.create(replace(template, state_machines={}))
        for machine in template.state_machines.values():
            stand_in.client("stepfunctions").create_state_machine(
                name=machine.name, definition=json.dumps(_DONE_AT_ONCE), roleArn="arn:aws:iam::123456789012:role/local"
            )
        baseline = artifacts.baseline({"CODEGEN_BASE_URL": codegen.url, "CODEGEN_ORG_ID": str(DEMO_ORG_ID)}, condition)
        creator = stack.enter_context(Sandbox(artifacts.python, template.functions["CreateMultiRun"], log_dir))
        around = World(codegen, template, baseline, creator)
        for work, event in around.preparation():
            with Sandbox(artifacts.python, work, log_dir) as sandbox:
                checked(work, sandbox.invoke(event))
        yield around


def checked(function: Function, answer: Answer) -> Answer:
    """Return the answer if it is a good one: what is refused is no work to measure.

    Raises:
        SandboxError: it is an HTTP error.
    """
    result = answer.result
    if isinstance(result, dict) and result.get("statusCode", 200) >= 400:
        raise SandboxError(f"{function.name} answered {result['statusCode']}: {result['body']}")
    return answer


class _Nobody:
    """Takes events and does nothing: a kick of the poller is measured, the poller that it wakes is not."""

    async def send(self, name: str, event: bytes) -> None:
        """Take an event."""

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Wait for nothing."""
        coroutine.close()
