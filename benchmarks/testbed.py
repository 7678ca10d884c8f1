"""What the functions need while they are measured: a Codegen API, an AWS stand-in, and their sample events."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.routing import Match

from benchmarks.artifacts import ROOT
from benchmarks.baseline.app import app
from benchmarks.upstream import upstream
from benchmarks.worker import Worker, WorkerError
from local import loopback
from local.aws.server import serve
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

    from benchmarks.artifacts import Artifacts
    from benchmarks.upstream import Upstream
    from benchmarks.worker import Answer
    from local.template import Function, Template

Event = dict[str, Any]

# The multi-run in the samples. Each sample gets a new one, because each changes what can be done with it next.
MULTI_RUN = "mr-019a00000000-5a3c1e0f27"

# The table in which the baseline keeps its stars.
_STARRED_RUNS: dict[str, Any] = {
    "TableName": "baseline-starred-runs",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "organization_id", "AttributeType": "N"},
        {"AttributeName": "agent_run_id", "AttributeType": "N"},
    ],
    "KeySchema": [
        {"AttributeName": "organization_id", "KeyType": "HASH"},
        {"AttributeName": "agent_run_id", "KeyType": "RANGE"},
    ],
}

_DONE_AT_ONCE = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}


@dataclass(frozen=True)
class Testbed:
    """A Codegen API, an AWS stand-in, and both sides set up to use them."""

    codegen: Upstream
    template: Template
    baseline: Function
    _creator: Worker

    def functions(self) -> list[Function]:
        """Return the functions to measure: the poller first, while there is nothing to poll."""
        return sorted(self.template.functions.values(), key=lambda function: function.name != "PollRuns")

    def event(self, function: Function) -> Event:
        """Return the function's sample event, with its multi-run replaced by a new one."""
        sample = _sample(function.name)
        if MULTI_RUN in sample:
            created = self._creator.invoke(json.loads(_sample("CreateMultiRun"))).result
            sample = sample.replace(MULTI_RUN, json.loads(created["body"])["id"])
        event: Event = json.loads(sample)
        return event

    def baseline_event(self, function: Function) -> Event:
        """Return the event for the baseline: the same, or the starring of a run if it has no such function.

        Functions that only we have call Codegen or read a table, most of them both, as starring a run does.
        """
        event: Event = json.loads(_sample("StarRun")) if is_own(function) else self.event(function)
        return event


def is_own(function: Function) -> bool:
    """Tell whether only we have such a function, and the baseline has none.

    The baseline has no tasks. It cannot find a multi-run by its id: it keeps them in memory, which is empty in a new
    process.
    """
    sample = _sample(function.name)
    event = json.loads(sample)
    if "httpMethod" not in event or "type" in event or MULTI_RUN in sample:
        return True
    scope = {"type": "http", "method": event["httpMethod"], "path": event["path"], "headers": []}
    return all(route.matches(scope)[0] is not Match.FULL for route in app.routes)


def _sample(name: str) -> str:
    return (ROOT / "events" / f"{name}.json").read_text("utf-8")


def status(function: Function, answer: Answer) -> int:
    """Return the status of an HTTP answer, and 200 for any other answer.

    A sample may name something that does not exist here. Refusing it takes the same imports and the same reads, so that
    a 4xx status counts as a measurement; a 5xx status does not.

    Raises:
        WorkerError: the function failed.
    """
    code = answer.result.get("statusCode", 200) if isinstance(answer.result, dict) else 200
    if code >= 500:
        raise WorkerError(f"{function.name} answered {code}: {answer.result['body']}")
    return int(code)


@contextmanager
def testbed(artifacts: Artifacts, condition: str, log_dir: Path) -> Iterator[Testbed]:
    """Start everything that the functions need. Their workers write their logs into `log_dir`."""
    with ExitStack() as stack:
        codegen = stack.enter_context(upstream())
        stand_in = stack.enter_context(serve(stack.enter_context(loopback.listen())))
        stand_in.functions = _Discard()  # type: ignore[assignment]
        parameters = {
            "CodegenBaseUrl": codegen.url,
            "CodegenOrgId": str(DEMO_ORG_ID),
            "CodegenTokenSecret": stand_in.create_secret("codegen-token", DEMO_TOKEN),
        }
        template = artifacts.template(parameters, {"AWS_ENDPOINT_URL": stand_in.url}, condition)
        stand_in.create(replace(template, state_machines={}))
        for machine in template.state_machines.values():
            stand_in.client("stepfunctions").create_state_machine(
                name=machine.name, definition=json.dumps(_DONE_AT_ONCE), roleArn="arn:aws:iam::123456789012:role/local"
            )
        stand_in.client("dynamodb").create_table(**_STARRED_RUNS)
        baseline = artifacts.baseline(
            {
                "AWS_ENDPOINT_URL": stand_in.url,
                "CODEGEN_BASE_URL": codegen.url,
                "CODEGEN_ORG_ID": str(DEMO_ORG_ID),
                "STARRED_RUNS_TABLE": _STARRED_RUNS["TableName"],
            },
            condition,
        )
        creator = stack.enter_context(Worker(artifacts.python, template.functions["CreateMultiRun"], log_dir))
        # The run in the samples becomes a followed one, with an event log to stream.
        for name, event in (("ResumeAgentRun", json.loads(_sample("ResumeAgentRun"))), ("PollRuns", {"kick": True})):
            with Worker(artifacts.python, template.functions[name], log_dir) as worker:
                status(template.functions[name], worker.invoke(event))
        yield Testbed(codegen, template, baseline, creator)


class _Discard:
    """Discards events: a kick of the poller is measured, the poller that it starts is not."""

    async def send(self, name: str, event: bytes) -> None:
        """Discard an event."""

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Return at once."""
        coroutine.close()
