"""Each function has the permissions and the variables that it uses, and no other.

The tests run everything that the functions do once, with the fake Codegen and AWS in memory. That includes what they do
only in a race or when a service fails. Each call to AWS is recorded as a permission of its function: the action and the
resource that IAM checks. The permissions and the variables that a function reads are compared with the template in both
directions.
"""

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import boto3
import httpx
import pytest

from codegen_api import CodegenAPI
from codegen_runs import aws, upstream
from codegen_runs.backend import Backend
from codegen_runs.callers import CODEGEN, DEPLOYMENT, Caller
from codegen_runs.live.tickets import Subject, Tickets
from codegen_runs.roles import Role
from codegen_runs.storage.table import Table
from codegen_runs.storage.webhook_endpoints import Delivery, DeliveryStatus, WebhookEndpointsTable
from local.cloudformation import ACCOUNT_ID, REGION, Document, Resource
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, ManualClock, Script, Trouble, serve
from local.template import Template
from tests.support import backend, handlers, profiles, samples
from tests.support.aws import ENVIRONMENT, Aws, arguments_of, in_memory, operation_of
from tests.support.backend import TestClock
from tests.support.events import Context, invoke, working_with
from tests.support.sources import FUNCTIONS

Permission = tuple[str, str]

ORG = 123


class Variables(dict[str, str]):
    """Environment variables, and which of them are read."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


class Functions(httpx.BaseTransport):
    """Runs the template's functions in this process and records the permissions and variables that each uses."""

    def __init__(self, template: Template, fake: FakeCodegen, codegen_url: str, aws: Aws, clock: TestClock) -> None:
        self.template = template
        self.clock = clock
        self.fake = fake
        self.codegen_url = codegen_url
        self.used: dict[str, set[Permission]] = defaultdict(set)
        self.read: dict[str, set[str]] = defaultdict(set)
        self.failing: set[tuple[str, str]] = set()
        """Operations that fail once because a condition is not met, with the table of their first action."""
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        """The answers of `send_every_request_as_every_caller`, by function and caller."""
        self.gone = False
        """Whether every WebSocket connection has been closed."""
        self._running: str | None = None
        self._aws = aws

    def run(
        self, name: str, event: dict[str, Any] | None = None, *, milliseconds_left: int | None = None, **more: Any
    ) -> Any:
        """Call a function with its sample event or with another event, with its whole timeout left or less."""
        function = self.template.functions[name]
        file = (function.code_dir / function.handler.removesuffix(".handler")).relative_to(FUNCTIONS)
        context = Context(milliseconds_left=milliseconds_left or function.timeout * 1000)
        with pytest.MonkeyPatch.context() as patch:
            variables = Variables({**os.environ, **function.environment})
            patch.setattr(os, "environ", variables)
            self._running = name
            upstream.deployment_token.forget()
            try:
                with working_with(Backend(clock=self.clock), audited=False):
                    return invoke(handlers.handler(str(file)), (event or samples.read(name)) | more, context)
            finally:
                self._running = None
                self.read[name] |= variables.read

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Record a request to AWS, then answer it, fail it or pass it on to AWS in memory."""
        operation = operation_of(request)
        if self._running:
            permissions = list(self._permissions(service_of(request), operation, arguments_of(request)))
            self.used[self._running] |= set(permissions)
            if (place := (operation, permissions[0][1].rpartition("/")[2])) in self.failing:
                self.failing.remove(place)
                return httpx.Response(400, json={"__type": "com.amazonaws#ConditionalCheckFailedException"})
            if operation.startswith("SendTask") or operation in ("Invoke", "ChangeMessageVisibility"):
                return httpx.Response(200, json={})  # No state machine runs, and the test calls the functions.
            if operation in ("PostToConnection", "DeleteConnection"):
                return (
                    httpx.Response(410, headers={"x-amzn-errortype": "GoneException"})
                    if self.gone
                    else httpx.Response(200)
                )
        return self._aws.handle_request(request)

    def _permissions(self, service: str, operation: str, arguments: dict[str, Any]) -> Iterator[Permission]:
        match service, operation:
            case "dynamodb", "TransactWriteItems":
                for (kind, action), *_ in (item.items() for item in arguments["TransactItems"]):
                    yield f"dynamodb:{kind}Item", self._table(action)
            case "dynamodb", "BatchGetItem":
                for table in arguments["RequestItems"]:
                    yield "dynamodb:BatchGetItem", self._table({"TableName": table})
            case "dynamodb", _:
                yield f"dynamodb:{operation}", self._table(arguments)
            case "lambda", "Invoke":
                yield "lambda:InvokeFunction", self.template.functions[arguments["FunctionName"]].arn
            case "secretsmanager", _:
                yield f"secretsmanager:{operation}", arguments["SecretId"]
            case "states", _:
                arn = arguments.get("stateMachineArn") or arguments.get("executionArn")
                (machine,) = self.template.state_machines.values()
                if operation in ("SendTaskSuccess", "SendTaskFailure"):  # a task token does not name its machine
                    yield f"states:{operation}", f"{machine.arn}/ManyCandidates"
                yield f"states:{operation}", arn or machine.arn
            case "sqs", _:
                name = arguments["QueueUrl"].rpartition("/")[2]
                yield f"sqs:{operation}", f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}"
            case "execute-api", _:
                assert self.template.websocket_api
                api = f"{self.template.websocket_api.id}/{self.template.websocket_api.stage}"
                method = {"PostToConnection": "POST", "DeleteConnection": "DELETE"}[operation]
                place = f"{api}/{method}/@connections/{arguments['ConnectionId']}"
                yield "execute-api:ManageConnections", f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{place}"
            case _:
                raise AssertionError(f"the permission for {service}:{operation} is not defined here")

    def _table(self, arguments: dict[str, Any]) -> str:
        arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{arguments['TableName']}"
        return f"{arn}/index/{arguments['IndexName']}" if "IndexName" in arguments else arn


def service_of(request: httpx.Request) -> str:
    """Return the service that a request is signed for."""
    return request.headers["authorization"].split("/")[3]


@pytest.fixture(scope="module")
def functions() -> Iterator[Functions]:
    """Run everything that the functions do."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for variable, value in ENVIRONMENT.items():
            patch.setenv(variable, value)
        fake = FakeCodegen(clock=ManualClock(), limits={})
        clock = TestClock(fake.clock)
        url = stack.enter_context(serve(fake))
        services = stack.enter_context(in_memory())
        template = replace(backend.template(), functions=backend.every_function())
        backend.create_tables(template)
        backend.create_queues(template)
        functions = Functions(template, fake, url, services, clock)
        stack.enter_context(aws.wire.over(functions))
        # Each function runs in the environment of the template, whose address of Codegen is not that of the fake.
        patch.setattr("codegen_runs.settings.codegen_base_url", lambda: url)
        stack.enter_context(upstream.over(stack.enter_context(httpx.HTTPTransport())))
        forget()
        boto3.client("secretsmanager").create_secret(Name=backend.SECRET_NAME, SecretString=DEMO_TOKEN)
        keep_agents(functions)
        send_idempotent_requests(functions)
        handle_requests(functions)
        follow_a_run(functions)
        chat(functions)
        continue_from_a_checkpoint(functions)
        control_a_run(functions)
        run_a_multi_run(functions)
        graft(functions)
        close_after_a_selection(functions)
        control_a_multi_run(functions)
        lose_a_state_machine(functions)
        follow_by_websocket(functions)
        announce(functions)
        ring_the_doorbell(functions)
        send_every_request_as_every_caller(functions)
        use_an_api_token(functions)
        yield functions
    forget()


def forget() -> None:
    """Load the handlers again: a warm handler keeps what it has read from AWS."""
    handlers.load.cache_clear()
    upstream.deployment_token.forget()


def poll(functions: Functions) -> None:
    """Poll when the Codegen API accepts calls again."""
    functions.clock.sleep(61)
    functions.run("PollRuns")


def poll_briefly(functions: Functions) -> None:
    """Poll just long enough to launch a run, and to see its end. Many runs are followed: each second costs time."""
    for _ in range(2):
        functions.clock.sleep(61)
        functions.run("PollRuns", milliseconds_left=32_000)


Poll = Callable[[Functions], None]


def handle_requests(functions: Functions) -> None:
    functions.run("Authorize")
    with pytest.raises(Exception, match="Unauthorized"):
        functions.run("Authorize", **with_a_ticket("good-for-nothing"))
    for name in functions.template.functions:
        apart = {"Authorize", "PollRuns", *WEBSOCKET, *WEBHOOK_ENDPOINTS, *MULTI_RUN_ENDPOINTS}
        if name not in TASKS | STREAMS | CHATS | apart:
            functions.run(name)
            functions.run(name, with_an_api_token(name))
    for name, function in functions.template.functions.items():
        if "CURSOR_KEY" in function.environment and name not in WEBHOOK_ENDPOINTS:
            functions.run(name, multiValueQueryStringParameters={"cursor": ["bm8gY3Vyc29yIG9mIHRoaXMgbGlzdA"]})
    functions.run("StarRun")
    functions.run("StarRun")  # Again: the run has a star already.
    functions.run("ListStarredRuns")
    event = samples.read(
        "StarRun"
    )  # While Codegen cannot confirm the caller, only runs that are followed can be starred.
    event["requestContext"]["authorizer"]["unconfirmed_since"] = "2026-01-01T00:00:00.000Z"
    functions.run("StarRun", event)
    functions.run("StarRun", body='{"agent_run_id": 100001, "starred": false}')


def send_idempotent_requests(functions: Functions) -> None:
    """Send each idempotent request with a key that another request holds at first, and with a body that is refused."""
    for name, function in backend.every_function().items():
        if "IDEMPOTENCY_TABLE" in function.environment:
            functions.failing.add(("PutItem", "IdempotencyTable"))
            headers = samples.read(name)["headers"] | {"Idempotency-Key": "8e03978e"}
            functions.run(name, headers=headers, body="[]")


def keep_agents(functions: Functions) -> None:
    """Create the agent of the samples, update and delete it, and create it again."""
    for name in ("CreateAgent", "UpdateAgent", "DeleteAgent", "CreateAgent"):
        functions.run(name, **({"body": ASSISTANT} if name == "CreateAgent" else {}))
    for name in ("CreateAgentRun", "CreateRunCard"):
        functions.run(name, body='{"prompt": "Hello!", "agent_id": "assistant"}')


def follow_a_run(functions: Functions) -> None:
    functions.run("CreateStreamTicket", body=json.dumps({"agent_run_id": start_upstream(functions)}))
    functions.run("PollRuns")
    waiting = {"queryStringParameters": {"wait": "1"}, "multiValueQueryStringParameters": {"wait": ["1"]}}
    functions.run("ListAgentRunEvents", **waiting)
    functions.run("ResumeAgentRun")  # The run has ended and is followed again.
    functions.run("PollRuns")
    functions.run("ResumeRunCard")
    for unfollowed, name in enumerate(sorted(STREAMS), start=100002):
        functions.run(name)
        event, place = with_an_api_token(name), {"org_id": ORG, "agent_run_id": unfollowed}
        functions.run(name, event, path=at(event, place), pathParameters=parameters(place))


def chat(functions: Functions) -> None:
    """Start sessions, continue one, fail to start one and list them; then delete the agent during its answer."""
    functions.run("CreateAgent", body=ASSISTANT)
    for name in sorted(CHATS):
        functions.run(name)
        answer = functions.run(name, with_an_api_token(name), body='{"agent_id": "assistant", "message": "Hello!"}')
        functions.run("PollRuns")
        again = {"agent_id": "assistant", "message": "And now?", "session_id": json.loads(answer["body"])["session_id"]}
        functions.run(name, body=json.dumps(again))
        functions.fake.trouble("create_agent_run", Trouble("error", status=500))
        functions.run(name)
    assert json.loads(functions.run("ListChatSessions")["body"])["items"]
    functions.run("DeleteAgent")


def continue_from_a_checkpoint(functions: Functions) -> None:
    """Create a checkpoint of a run with an agent and continue from it; then fail to, which deletes the new run."""
    functions.run("CreateAgent", body=ASSISTANT)
    started = functions.run("CreateAgentRun", body='{"prompt": "Hello!", "agent_id": "assistant"}')
    event, place = samples.read("CreateCheckpoint"), {"org_id": ORG, "agent_run_id": json.loads(started["body"])["id"]}
    made = functions.run("CreateCheckpoint", event, path=at(event, place), pathParameters=parameters(place))
    place = {"org_id": ORG, "checkpoint_id": json.loads(made["body"])["id"]}
    for name in ("GetCheckpoint", "GetCheckpointLineage", "RestoreCheckpoint", "ForkCheckpoint"):
        event = with_an_api_token(name)
        there = {"path": at(event, place), "pathParameters": parameters(place)}
        assert functions.run(name, event, **there)["statusCode"] in (200, 201)
        functions.fake.trouble("create_agent_run", Trouble("error", status=402))
        functions.run(name, event, **there)
        functions.fake.troubles.clear()


def fork_into_a_multi_run(functions: Functions, checkpoint_id: str) -> None:
    """Start a multi-run from a checkpoint, for a caller whose requests the deployment sends, and add a candidate."""
    body = {"prompt": "Hello!", "concurrency": 1, "from_checkpoint": checkpoint_id}
    functions.run("EstimateMultiRun", body=json.dumps(body))
    started = functions.run("CreateMultiRun", with_an_api_token("CreateMultiRun"), body=json.dumps(body))
    multi_run = {"org_id": ORG, "multi_run_id": json.loads(started["body"])["id"]}
    functions.run("PlanMultiRun", **multi_run)
    functions.run("LaunchCandidate", **multi_run)
    there = {"path": at(samples.read("AddCandidate"), multi_run), "pathParameters": parameters(multi_run)}
    assert functions.run("AddCandidate", **there, body="{}")["statusCode"] == 201


def with_a_ticket(ticket: str) -> dict[str, Any]:
    """Return the parts of an authorizer's event that differ for a viewer with a ticket."""
    place = {"org_id": ORG, "agent_run_id": 100001}
    resource = samples.read("StreamAgentRunLogs")["resource"]
    query = {"ticket": ticket}
    return {"headers": {}, "resource": resource, "pathParameters": parameters(place), "queryStringParameters": query}


def with_an_api_token(name: str) -> dict[str, Any]:
    """Return the sample event of an endpoint for a caller with an API token of this deployment."""
    event = samples.read(name)
    event.get("requestContext", {}).get("authorizer", {})["kind"] = DEPLOYMENT
    return event


def use_an_api_token(functions: Functions) -> None:
    for name in ("Authorize", "OpenConnection"):
        token = json.loads(functions.run("CreateApiToken")["body"])["token"]
        functions.run(name, headers={"Authorization": f"Bearer {token}"})
    functions.run("UpdateUser")  # Now there is another admin, so this one can give up the role.
    event, place = samples.read("UpdateUser"), {"org_id": ORG, "user_id": 789}
    functions.run(
        "UpdateUser", event, path=at(event, place), pathParameters=parameters(place), body='{"role": "member"}'
    )


def control_a_run(functions: Functions) -> None:
    """Use a run that is not followed yet, for a caller whose requests the deployment sends to the Codegen API."""
    for name in ("PauseAgentRun", "CancelAgentRun", "CancelRunCard", "ListAgentRunEvents", "ListCheckpoints"):
        event, place = with_an_api_token(name), {"org_id": ORG, "agent_run_id": start_upstream(functions)}
        functions.run(name, event, path=at(event, place), pathParameters=parameters(place))
    body = json.dumps({"agent_run_id": start_upstream(functions)})
    functions.run("CreateStreamTicket", with_an_api_token("CreateStreamTicket"), body=body)


def run_a_multi_run(functions: Functions) -> None:
    functions.run("CreateMultiRun")  # The state machine does not exist yet.
    machine = functions.template.state_machines["MultiRunStateMachine"]
    boto3.client("stepfunctions").create_state_machine(
        name=machine.name, definition=machine.definition, roleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/any"
    )
    functions.fake.script(Script(ending="FAILED"))
    multi_run = start_a_multi_run(functions)
    functions.fake.script(Script(pull_request=False))
    functions.fake.script(Script(pull_request=True))
    finish_the_candidates(functions, multi_run)
    functions.run("LaunchCandidate", **multi_run)  # Again: it is queued already.
    poll(functions)
    functions.run("GatherCandidates", **multi_run)
    for _ in range(2):
        functions.run("AskJudge", **multi_run)
    poll(functions)
    pausing, resuming = samples.read("PauseMultiRun"), samples.read("ResumeMultiRun")
    functions.run("PauseMultiRun", pausing, path=at(pausing, multi_run), pathParameters=parameters(multi_run))
    functions.run("GatherCandidates", **multi_run, next="judge", judge_runs=[1])  # The synthesis is queued and held.
    functions.run("ResumeMultiRun", resuming, path=at(resuming, multi_run), pathParameters=parameters(multi_run))
    for _ in range(2):
        functions.run("SynthesizeCandidates", **multi_run)
    poll(functions)
    functions.run("GatherCandidates", **multi_run, next="synthesize")
    functions.run("PublishMultiRun", **multi_run)
    assert '"completed"' in read_a_multi_run(functions, multi_run)
    decide_a_multi_run(functions, multi_run)
    repair_a_multi_run(functions, multi_run)
    event = samples.read("CompareMultiRun")
    functions.run("CompareMultiRun", event, path=at(event, multi_run), pathParameters=parameters(multi_run))
    with_an_agent = {"body": '{"prompt": "Hello!", "concurrency": 1, "agent_id": "assistant"}'}
    functions.run("CreateAgent", body=ASSISTANT)
    functions.run("EstimateMultiRun", **with_an_agent)
    found = re.search(r"mr-\w+-\w+", functions.run("CreateMultiRun", **with_an_agent)["body"])
    assert found
    functions.run("LaunchCandidate", org_id=ORG, multi_run_id=found[0])
    fork_into_a_multi_run(functions, make_a_checkpoint(functions))
    change_the_candidates(functions)
    functions.run("PublishMultiRun", **start_a_multi_run(functions))  # None of its runs is queued yet.
    functions.run("ListMultiRuns")
    for name in sorted(STREAMS):
        resource = "/v1/organizations/{org_id}/multi-runs/{multi_run_id}/logs/stream"
        event = samples.read(name) | {"resource": resource}
        functions.run(name, event, path=at(event, multi_run), pathParameters=parameters(multi_run))
    waiting = {"queryStringParameters": {"wait": "1"}, "multiValueQueryStringParameters": {"wait": ["1"]}}
    event = samples.read("ListMultiRunEvents") | waiting
    functions.run("ListMultiRunEvents", event, path=at(event, multi_run), pathParameters=parameters(multi_run))
    functions.run("CreateStreamTicket", body=json.dumps({"multi_run_id": multi_run["multi_run_id"]}))


def change_the_candidates(functions: Functions) -> None:
    """Add candidates to a running multi-run and drop some: one that is not launched, and one that is at work."""
    functions.clock.sleep(61)  # By now the Codegen API accepts launches again.
    functions.run("PollRuns")  # Other runs that wait get no script of this multi-run.
    multi_run = start_a_multi_run(functions)
    functions.run("PlanMultiRun", **multi_run)
    functions.fake.script(Script(ending="NEVER"))
    functions.run("LaunchCandidate", **multi_run, index=0)
    functions.run("PollRuns")
    there = {"path": at(samples.read("AddCandidate"), multi_run), "pathParameters": parameters(multi_run)}
    functions.failing |= {("TransactWriteItems", "MultiRunsTable")}  # The poller writes at the same time.
    functions.run("AddCandidate", **there, body='{"agent_id": "assistant"}')
    for index in (0, 1, 3):
        place = multi_run | {"index": index}
        event = with_an_api_token("DropCandidate")
        there = {"path": at(event, place), "pathParameters": parameters(place)}
        functions.failing |= {("TransactWriteItems", table) for table in ("MultiRunsTable", "RunsTable")}
        query = {"allow_pr_ban": ["true"]} if index == 0 else None
        functions.run("DropCandidate", event, **there, multiValueQueryStringParameters=query)
    functions.run("PollRuns")


def decide_a_multi_run(functions: Functions, multi_run: dict[str, Any]) -> None:
    """Pick a candidate, as a caller whose requests the deployment sends, and undo that. One pull request is closed."""
    event = with_an_api_token("PickCandidate")
    there = {"path": at(event, multi_run), "pathParameters": parameters(multi_run)}
    functions.failing |= {("TransactWriteItems", "MultiRunsTable")}  # The poller writes at the same time.
    picked = functions.run("PickCandidate", event, **there, body='{"candidate": 1, "close_losers": true}')
    assert [loser["outcome"] for loser in json.loads(picked["body"])["losers"]] == ["closed"]
    functions.run("UnpickCandidate", samples.read("UnpickCandidate"), **there)


def repair_a_multi_run(functions: Functions, multi_run: dict[str, Any]) -> None:
    """Retry the candidate that failed, and combine the answers again, while the poller writes at the same time."""
    functions.failing |= {("TransactWriteItems", "MultiRunsTable"), ("PutItem", "RunsTable")}
    retry = samples.read("RetryCandidates")
    there = {"path": at(retry, multi_run), "pathParameters": parameters(multi_run)}
    assert functions.run("RetryCandidates", retry, **there, body=None)["statusCode"] == 202
    finish_the_candidates(functions, multi_run)
    functions.run("PublishMultiRun", **multi_run)
    functions.failing |= {("TransactWriteItems", "MultiRunsTable"), ("PutItem", "RunsTable")}
    again = samples.read("ResynthesizeMultiRun")
    there["path"] = at(again, multi_run)
    assert functions.run("ResynthesizeMultiRun", again, **there)["statusCode"] == 202


def finish_the_candidates(functions: Functions, multi_run: dict[str, Any], *, poll: Poll = poll) -> None:
    functions.run("PlanMultiRun", **multi_run)
    for index in range(3):
        functions.run("LaunchCandidate", **multi_run, index=index)
        poll(functions)  # One by one, so that each gets its own script.


def graft(functions: Functions) -> None:
    """Have the deployment send the base of a multi-run what it should take over."""
    body = {"prompt": "Explain how to test a cache", "synthesis": {"graft": True}, "judge": "never"}
    for _ in range(3):
        functions.clock.sleep(61)  # By now the Codegen API accepts calls again, and no other run waits for its launch.
        functions.run("PollRuns")
    multi_run = start_a_multi_run(functions, body=json.dumps(body))
    functions.fake.script(Script(pull_request=True))
    finish_the_candidates(functions, multi_run)
    functions.run("SynthesizeCandidates", **multi_run)  # No earlier task has queued the synthesis.
    functions.run("PollRuns")
    functions.run("PublishMultiRun", **multi_run)
    assert '"outcome":"sent"' in read_a_multi_run(functions, multi_run).replace(" ", "")


def close_after_a_selection(functions: Functions) -> None:
    """Close the pull requests of the candidates that were not selected, as a caller with an API token."""
    body = {"prompt": "Hello!", "strategy": "select", "judge": "never", "close_losers": True}
    for _ in range(3):
        functions.clock.sleep(61)  # By now the Codegen API accepts calls again, and no other run waits for its launch.
        functions.run("PollRuns")
    event = with_an_api_token("CreateMultiRun")
    token = functions.run("CreateApiToken", body='{"name": "Closing", "role": "member"}')
    event["requestContext"]["authorizer"]["token_id"] = json.loads(token["body"])["id"]
    multi_run = start_a_multi_run(functions, event, body=json.dumps(body))
    for _ in range(3):
        functions.fake.script(Script(pull_request=True))
    finish_the_candidates(functions, multi_run)
    functions.run("GatherCandidates", **multi_run)
    functions.run("PublishMultiRun", **multi_run)
    found = json.loads(read_a_multi_run(functions, multi_run))["candidates"]
    assert sorted(len(each["closed_pull_requests"]) for each in found) == [0, 1, 1]


def control_a_multi_run(functions: Functions) -> None:
    multi_run = start_a_multi_run(functions)
    functions.run("PlanMultiRun", **multi_run)
    functions.run("LaunchCandidate", **multi_run)
    functions.run("GetRateLimits")  # A run waits for its launch.
    functions.run("ListRunCards")
    functions.run("ListRunCards", queryStringParameters=None, multiValueQueryStringParameters=None)
    event, place = samples.read("GetRunCard"), {"org_id": ORG, "agent_run_id": f"{multi_run['multi_run_id']}-0"}
    functions.run("GetRunCard", event, path=at(event, place), pathParameters=parameters(place))
    assert '"queued"' in read_a_multi_run(functions, multi_run)
    for name in ("PauseMultiRun", "ResumeMultiRun", "CancelMultiRun"):
        # The poller writes at the same time.
        functions.failing |= {("TransactWriteItems", table) for table in ("MultiRunsTable", "RunsTable")}
        event = with_an_api_token(name)
        functions.run(name, event, path=at(event, multi_run), pathParameters=parameters(multi_run))
    assert '"cancelled"' in read_a_multi_run(functions, multi_run)
    multi_run = start_a_multi_run(functions)
    functions.run("PlanMultiRun", **multi_run)
    functions.run("LaunchCandidate", **multi_run)
    functions.fake.script(Script(ending="NEVER"))
    poll(functions)  # Now a candidate runs, and only the Codegen API can stop it.
    event = with_an_api_token("CancelMultiRun")
    there = {"path": at(event, multi_run), "pathParameters": parameters(multi_run)}
    functions.run("CancelMultiRun", event, **there, body='{"allow_pr_ban": true}')


def lose_a_state_machine(functions: Functions) -> None:
    multi_run = start_a_multi_run(functions)
    (machine,) = functions.template.state_machines.values()
    execution = f"{machine.arn.replace(':stateMachine:', ':execution:')}:{multi_run['multi_run_id']}"
    boto3.client("stepfunctions").stop_execution(executionArn=execution)
    functions.clock.sleep(600)  # By now the state machine must have published.
    functions.run("ReconcileMultiRuns")
    assert '"failed"' in read_a_multi_run(functions, multi_run)


def follow_by_websocket(functions: Functions) -> None:
    functions.run("OpenConnection")
    callers = Table(functions.template.tables["CallersTable"].name)
    tickets = Tickets(Backend(clock=functions.clock, callers=callers))
    ticket, _ = tickets.issue(Caller("user:789", 789, frozenset({ORG})), Subject(ORG, agent_run_id=1))
    functions.run("OpenConnection", queryStringParameters={"ticket": ticket})
    functions.clock.sleep(600)  # The owner of the token is no longer cached.
    functions.run("OpenConnection")
    upstream.deployment_token.forget()
    run_id = start_upstream(functions)
    functions.run("AnswerMessage", body=json.dumps({"action": "subscribe", "run_id": run_id}))
    multi_run = start_a_multi_run(functions)["multi_run_id"]
    functions.run("AnswerMessage", body=json.dumps({"action": "subscribe", "multi_run_id": multi_run}))
    functions.run("PollRuns")
    functions.clock.sleep(61)  # By now the poller looks at idle subscriptions too.
    functions.run("PollRuns")
    functions.run("AnswerMessage", body=json.dumps({"action": "unsubscribe", "multi_run_id": multi_run}))
    functions.run("AnswerMessage", body=json.dumps({"action": "subscribe", "run_id": start_upstream(functions)}))
    functions.gone = True
    functions.run("PollRuns")
    functions.run("AnswerMessage")
    functions.run("OpenConnection")
    functions.run("AnswerMessage", body=json.dumps({"action": "subscribe", "multi_run_id": multi_run}))
    functions.gone = False
    functions.run("AnswerMessage", body=json.dumps({"action": "subscribe", "multi_run_id": multi_run}))
    functions.run("OpenConnection")
    functions.run("CloseConnection")


def announce(functions: Functions) -> None:
    """Announce the end of a run to two webhook endpoints, one of which takes no message for three days."""
    first, second = create_webhook_endpoint(functions), create_webhook_endpoint(functions)
    follow_a_run(functions)
    functions.failing.add(("PutItem", "WebhookEndpointsTable"))  # The poller stored the message before, and died.
    functions.run("PollRuns")
    there = {"org_id": ORG, "endpoint_id": first}
    event = samples.read("ListDeliveries")
    at_first = {"path": at(event, there), "pathParameters": parameters(there)}
    functions.run("ListDeliveries", event, **at_first)
    cursor = {"cursor": ["bm8gY3Vyc29yIG9mIHRoaXMgbGlzdA"]}
    functions.run("ListDeliveries", event, **at_first, multiValueQueryStringParameters=cursor)
    rows = Backend(clock=functions.clock, webhook_endpoints=WebhookEndpointsTable("WebhookEndpointsTable"))
    for _ in range(2):
        functions.run("SendWebhooks", deliver(rows.webhook_endpoints.deliveries(ORG, first, 1)[0][0]))
        functions.clock.sleep(3.1 * 86_400)
    second_place = {"org_id": ORG, "endpoint_id": second}
    event = samples.read("CreateDeliveries")
    (delivery,), _ = rows.webhook_endpoints.deliveries(ORG, second, 1)
    functions.run("SendWebhooks", deliver(delivery))
    delivery = rows.webhook_endpoints.deliveries(ORG, second, 1)[0][0]
    rows.webhook_endpoints.write_delivery(delivery, status=DeliveryStatus.FAILED)
    body = json.dumps({"message_id": delivery.id})
    functions.run(
        "CreateDeliveries", event, path=at(event, second_place), pathParameters=parameters(second_place), body=body
    )
    for name in ("UpdateWebhookEndpoint", "RotateWebhookSecret"):
        functions.failing.add(("UpdateItem", "WebhookEndpointsTable"))  # Another request changes it at the same time.
        event = samples.read(name)
        there = {"path": at(event, second_place), "pathParameters": parameters(second_place)}
        functions.run(name, event, **there, body='{"url": "https://hooks.example.com/"}')


def ring_the_doorbell(functions: Functions) -> None:
    """Turn the doorbell on in the place of another webhook, ring it for a run that is followed, and turn it off."""
    with CodegenAPI(token=DEMO_TOKEN, base_url=functions.codegen_url) as codegen:
        codegen.webhooks.set("https://hooks.example.com/ended", org_id=ORG)
    functions.fake.script(Script(ending="NEVER"))
    started = json.loads(functions.run("CreateAgentRun")["body"])["id"]
    for _ in range(10):  # The poller leaves the run alone for a while, because nothing happens.
        functions.run("PollRuns", milliseconds_left=32_000)
    name = turn_on_doorbell(functions, forward=True)
    event = samples.read("RingDoorbell")
    there = {"path": at(event, {"doorbell": name}), "pathParameters": {"doorbell": name}}
    assert functions.run("RingDoorbell", event, **there, body=json.dumps({"id": started}))["statusCode"] == 202
    functions.run("ManageDoorbell", httpMethod="DELETE")


def turn_on_doorbell(functions: Functions, *, forward: bool) -> str:
    """Turn the doorbell on, and return the last segment of its URL."""
    body = json.dumps({"forward": forward})
    assert functions.run("ManageDoorbell", httpMethod="PUT", body=body)["statusCode"] == 200
    return str(functions.fake.organizations[ORG].webhook.url).rpartition("/")[2]


def deliver(delivery: Delivery) -> dict[str, Any]:
    """Return the event with the message about a delivery."""
    event = samples.read("SendWebhooks")
    named = {"org_id": ORG, "endpoint_id": delivery.endpoint_id, "position": delivery.position}
    event["Records"][0]["body"] = json.dumps(named)
    return event


def create_webhook_endpoint(functions: Functions) -> str:
    """Create a webhook endpoint whose host does not exist, and return its id."""
    table = WebhookEndpointsTable("WebhookEndpointsTable")
    for endpoint in table.of(ORG)[10:]:  # An organization has at most twenty.
        table.remove(ORG, endpoint.id)
    body = json.dumps({"url": "https://hooks.example.invalid/"})
    return str(json.loads(functions.run("CreateWebhookEndpoint", body=body)["body"])["id"])


def send_every_request_as_every_caller(functions: Functions) -> None:
    """Send the sample of each operation with a Codegen token, and with an API token of each role.

    The quick profile leaves out the lower roles, which reach no more code.
    """
    for name in ENDPOINTS:
        for caller in CALLERS if profiles.is_full() else (CODEGEN, Role.ADMIN):
            functions.clock.sleep(61)  # By now the Codegen API accepts calls again.
            text = json.dumps(samples.read(name))
            if samples.AGENT in text and name != "CreateAgent":
                functions.run("CreateAgent", body=ASSISTANT)
            if samples.MULTI_RUN in text:
                multi_run = start_a_multi_run(functions)
                text = text.replace(samples.MULTI_RUN, multi_run["multi_run_id"])
                if name == "RetryCandidates":
                    functions.fake.script(Script())
                    functions.fake.script(Script(ending="FAILED"))
                if name in ("PickCandidate", "RetryCandidates", "ResynthesizeMultiRun"):
                    finish_the_candidates(functions, multi_run, poll=poll_briefly)
                if name in ("RetryCandidates", "ResynthesizeMultiRun"):
                    functions.run("PublishMultiRun", **multi_run)
                if name == "ResumeMultiRun":
                    pause = samples.read("PauseMultiRun")
                    functions.run("PauseMultiRun", path=at(pause, multi_run), pathParameters=parameters(multi_run))
            if samples.WEBHOOK_ENDPOINT in text:
                text = text.replace(samples.WEBHOOK_ENDPOINT, create_webhook_endpoint(functions))
            if samples.DOORBELL in text:
                text = text.replace(samples.DOORBELL, turn_on_doorbell(functions, forward=True))
            if samples.CHECKPOINT in text:
                text = text.replace(samples.CHECKPOINT, make_a_checkpoint(functions))
            if samples.NEW_RUN in text:
                functions.fake.script(Script(ending="NEVER"))
                text = text.replace(samples.NEW_RUN, str(start_upstream(functions)))
            own = ""
            if samples.API_TOKEN in text:
                own = json.loads(functions.run("CreateApiToken")["body"])["id"]
            event = json.loads(text.replace(samples.API_TOKEN, own))
            if caller != CODEGEN:
                token = {"kind": DEPLOYMENT, "roles": f"{ORG}:{caller}", "token_id": own}
                event["requestContext"].get("authorizer", {}).update(token)
            functions.answers[name, caller] = functions.run(name, event)


# The functions that answer requests, and the callers of each. A new function of the template is among them.
ENDPOINTS = sorted(
    name for name in backend.every_function() if "httpMethod" in samples.read(name) and name != "Authorize"
)
CALLERS = (CODEGEN, *Role)

# The variables of Globals. Lambda reads the wrapper's.
SHARED_VARIABLES = {*backend.template().functions["GetHealth"].environment, "AWS_LAMBDA_EXEC_WRAPPER"}

TASKS = {
    *("PlanMultiRun", "LaunchCandidate", "GatherCandidates", "AskJudge", "SynthesizeCandidates", "PublishMultiRun"),
}
STREAMS = {"StreamAgentRunLogs", "StreamAgentRunLogsLive"}
ASSISTANT = '{"id": "assistant", "name": "Assistant"}'
CHATS = {"SendChatMessage", "SendChatMessageLive"}
WEBSOCKET = {"OpenConnection", "AnswerMessage", "CloseConnection"}
WEBHOOK_ENDPOINTS = {
    *("CreateDeliveries", "CreateWebhookEndpoint", "DeleteWebhookEndpoint", "GetWebhookEndpoint", "ListDeliveries"),
    *("ListWebhookEndpoints", "RotateWebhookSecret", "SendWebhooks", "UpdateWebhookEndpoint"),
}
MULTI_RUN_ENDPOINTS = {
    *(
        "AddCandidate",
        "CompareMultiRun",
        "CreateMultiRun",
        "DropCandidate",
        "EstimateMultiRun",
        "GetMultiRun",
        "ListMultiRunEvents",
        "ListMultiRuns",
    ),
    *("CancelMultiRun", "PauseMultiRun", "PickCandidate", "ResumeMultiRun", "UnpickCandidate"),
    *("ResynthesizeMultiRun", "RetryCandidates"),
}


def make_a_checkpoint(functions: Functions) -> str:
    started = functions.run("CreateAgentRun")
    event, place = samples.read("CreateCheckpoint"), {"org_id": ORG, "agent_run_id": json.loads(started["body"])["id"]}
    made = functions.run("CreateCheckpoint", event, path=at(event, place), pathParameters=parameters(place))
    return str(json.loads(made["body"])["id"])


def start_upstream(functions: Functions) -> int:
    with CodegenAPI(token=DEMO_TOKEN, base_url=functions.codegen_url) as codegen:
        return codegen.runs.create("Say hello.", org_id=ORG).id


def start_a_multi_run(functions: Functions, event: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    found = re.search(r"mr-\w+-\w+", functions.run("CreateMultiRun", event, **changes)["body"])
    assert found
    return {"org_id": ORG, "multi_run_id": found[0]}


def read_a_multi_run(functions: Functions, multi_run: dict[str, Any]) -> str:
    event = samples.read("GetMultiRun")
    answer = functions.run("GetMultiRun", event, path=at(event, multi_run), pathParameters=parameters(multi_run))
    return str(answer["body"])


def at(event: dict[str, Any], place: dict[str, Any]) -> str:
    return str(event["resource"].format(**place))


def parameters(place: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in place.items()}


ADDED_BY_SAM = [
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
]
"""What SAM gives the role of each function whose policies stand in the template."""

MANAGED_POLICIES = backend.document().of("AWS::IAM::ManagedPolicy")


def granted(name: str) -> set[Permission]:
    """Return the permissions that the template gives a function."""
    return granted_to(backend.document_with(name), name)


def granted_to(document: Document, name: str) -> set[Permission]:
    """Return the permissions that the template gives a function or a state machine."""
    return {permission for policy in policies_of(document, name) for permission in permissions_in(policy["Statement"])}


def policies_of(document: Document, name: str) -> Iterator[dict[str, Any]]:
    """Yield the policy documents of a function or a state machine: managed policies and its own statements."""
    managed = {policy.arn: policy.properties["PolicyDocument"] for policy in document.of("AWS::IAM::ManagedPolicy")}
    for policy in policies_named_by(document, name):
        yield managed[policy] if isinstance(policy, str) else policy


def policies_named_by(document: Document, name: str) -> list[Any]:
    """Return the ARNs of the managed policies of a function, a state machine or a role, and its own policies."""
    properties = document.resources[name].properties
    if role := shared_role(document, name):
        assert "Policies" not in properties, "SAM ignores them beside a role"
        return policies_named_by(document, role.logical_id)
    managed = [policy for policy in properties.get("ManagedPolicyArns", []) if policy not in ADDED_BY_SAM]
    # The policy of a role has a name and a document, that of a function is the document.
    return managed + [
        policy if isinstance(policy, str) else policy.get("PolicyDocument", policy)
        for policy in properties.get("Policies", [])
    ]


def shared_role(document: Document, name: str) -> Resource | None:
    """Return the role that a function names; None if SAM makes one from its policies."""
    roles = {role.arn: role for role in document.of("AWS::IAM::Role")}
    named = document.resources[name].properties.get("Role")
    return roles[named] if named else None


def permissions_in(statements: list[dict[str, Any]]) -> Iterator[Permission]:
    """Yield each permission of the statements, repetitions included."""
    for statement in statements:
        assert statement.keys() == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        assert isinstance(statement["Action"], list)
        resources = statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            yield from ((action, resource) for action in statement["Action"])


def covers(grant: Permission, used: Permission) -> bool:
    return grant[0] == used[0] and re.fullmatch(re.escape(grant[1]).replace(r"\*", ".*"), used[1]) is not None


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(backend.every_function()))
def test_a_function_has_every_permission_that_it_uses(functions: Functions, name: str) -> None:
    grants = granted(name)

    assert {used for used in functions.used[name] if not any(covers(grant, used) for grant in grants)} == set()


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(backend.every_function()))
def test_a_function_has_no_permission_that_it_does_not_use(functions: Functions, name: str) -> None:
    used = functions.used[name]

    assert {grant for grant in granted(name) if not any(covers(grant, each) for each in used)} == set()


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(backend.every_function()))
def test_a_function_has_the_variables_that_it_reads_beside_those_of_all_functions(
    functions: Functions, name: str
) -> None:
    own = {each: set(function.environment) - SHARED_VARIABLES for each, function in backend.every_function().items()}

    assert functions.read[name] & set().union(*own.values()) == own[name]


@pytest.mark.full
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_function_can_answer_every_kind_of_caller(functions: Functions, name: str) -> None:
    """In the environment of the template, with the permissions that the tests above compare with the template."""
    answers = {caller: answer for (function, caller), answer in functions.answers.items() if function == name}
    refused = {caller for caller, answer in answers.items() if answer["statusCode"] == 403}
    codes = {json.loads(answers[caller]["body"])["code"] for caller in refused}

    assert answers.keys() >= {CODEGEN, Role.ADMIN}
    assert {caller for caller in answers if caller not in refused and answers[caller]["statusCode"] >= 300} == set()
    assert CODEGEN not in refused
    assert codes <= {"role_required", "codegen_token_required"}


def test_only_executions_connections_and_log_delivery_have_wildcards(document: Document) -> None:
    wide = {(name, *grant) for name in document.resources for grant in granted_to(document, name) if "*" in str(grant)}

    executions = f"arn:aws:states:{REGION}:{ACCOUNT_ID}:execution:codegen-runs-multi-runs:*"
    deliveries = {(name, action, on) for name, action, on in wide if action.startswith("logs:") and on == "*"}
    assert {name for name, *_ in deliveries} == {"MultiRunStateMachine"}
    posts = {each for each in wide if each[1] == "execute-api:ManageConnections"}
    assert {name for name, *_ in posts} == {"AnswerMessage", "PollRuns"}
    children = f"arn:aws:states:{REGION}:{ACCOUNT_ID}:execution:codegen-runs-multi-runs/ManyCandidates:*"
    assert wide - deliveries - posts == {
        ("MultiRunStateMachine", "states:DescribeExecution", executions),
        ("MultiRunStateMachine", "states:StopExecution", executions),
        ("MultiRunStateMachine", "states:DescribeExecution", children),
        ("MultiRunStateMachine", "states:StopExecution", children),
        ("MultiRunStateMachine", "states:RedriveExecution", children),
        ("CancelMultiRun", "states:StopExecution", executions),
        ("ReconcileMultiRuns", "states:DescribeExecution", executions),
    }


@pytest.mark.parametrize("name", sorted(backend.every_function()))
def test_a_function_gets_a_permission_from_one_policy_only(name: str) -> None:
    """Otherwise one of two policies could be superfluous, and no other test would notice it."""
    document = backend.document_with(name)
    given = Counter(
        permission for policy in policies_of(document, name) for permission in permissions_in(policy["Statement"])
    )

    assert {permission for permission, times in given.items() if times > 1} == set()


def test_what_six_roles_may_do_is_a_managed_policy_and_a_statement_of_fewer_is_not() -> None:
    """A managed policy is a resource of the stack, and CloudFormation allows 500."""
    own, shared = defaultdict[frozenset[Permission], set[str]](set), defaultdict[str, set[str]](set)
    for name in backend.every_function():
        document = backend.document_with(name)
        role = shared_role(document, name)
        for policy in policies_named_by(document, name):
            if isinstance(policy, str):
                shared[policy].add(role.logical_id if role else name)
                continue
            for statement in policy["Statement"]:
                own[frozenset(permissions_in([statement]))].add(role.logical_id if role else name)
    managed = {policy.arn: policy.properties["PolicyDocument"]["Statement"] for policy in MANAGED_POLICIES}
    in_managed = Counter(frozenset(permissions_in([each])) for policy in managed.values() for each in policy)

    assert {statement: roles for statement, roles in own.items() if len(roles) > 5} == {}
    assert own.keys() & in_managed.keys() == set()
    assert {statement for statement, times in in_managed.items() if times > 1} == set()
    assert {arn: shared[arn] for arn in managed if len(shared[arn]) < 6} == {}


@pytest.mark.parametrize("name", sorted(backend.every_function()))
def test_a_role_has_no_more_managed_policies_than_iam_allows(name: str) -> None:
    """IAM allows 10, the two of `ADDED_BY_SAM` included."""
    policies = policies_named_by(backend.document_with(name), name)

    assert sum(isinstance(policy, str) for policy in policies) <= 10 - len(ADDED_BY_SAM)


def test_a_shared_role_is_that_of_several_functions_and_may_write_logs_and_traces(document: Document) -> None:
    """SAM adds nothing to a role that is a resource of the template."""
    users = Counter(
        role.logical_id for name in backend.every_function() if (role := shared_role(backend.document_with(name), name))
    )

    assert users
    for role in document.of("AWS::IAM::Role"):
        assert users[role.logical_id] > 1
        assert set(role.properties["ManagedPolicyArns"]) >= set(ADDED_BY_SAM)
        (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": ["lambda.amazonaws.com"]}
