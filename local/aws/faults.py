"""Faults in front of the AWS stand-in: what AWS does rarely, often.

| fault         | where                                | what happens                                               |
|---------------|--------------------------------------|------------------------------------------------------------|
| `throttled`   | an operation of DynamoDB             | It is refused, without an effect.                          |
| `conflicting` | `TransactWriteItems`                 | It is cancelled because of another transaction.            |
| `lost_answer` | a write of DynamoDB                  | It takes effect, and is answered with 500.                 |
| `partial`     | `BatchGetItem`, `BatchWriteItem`     | Half of the items is left unprocessed.                     |
| `killed`      | an invocation of a function          | A moment later, a process that handles an event is killed. |
| `crashed`     | a call of a function that changes    | The calling process is killed, before the call takes       |
|               | something                            | effect or after.                                           |
| `stepped`     | an invocation of a function          | The clocks of its processes are set, up to two seconds off.|
| `repeated`    | an asynchronous invocation           | The event is delivered twice.                              |
| `late`        | an asynchronous invocation           | The event is delivered some seconds later.                 |
| `repeated`    | `SendTaskSuccess`, `SendTaskFailure` | The task token is answered twice.                          |
| `repeated`    | `SendMessage`                        | The queue delivers the message twice.                      |
| `redelivered` | `ReceiveMessage`                     | The message is visible again within two seconds, as if its |
|               |                                      | function were slower than the visibility timeout.          |
| `unanswered`  | a synchronous invocation             | The caller gets 500, after the function has ended or while |
|               |                                      | it still runs. Who repeats the event runs it twice.        |

Whether the n-th call of an operation or function meets a fault follows from the seed alone. Faults are off until they
are turned on: `PUT /_faults {"on": true}`. `GET /_faults` shows which there were.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from random import Random
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local.functions.worker import request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from local.functions.pool import Functions
    from local.functions.worker import Worker

PATH = "/_faults"

_INVOKED = re.compile(r"/20\d\d-\d\d-\d\d/functions/([^/]+)/(?:response-streaming-)?invocations")
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"})
_ANSWERS = frozenset({"SendTaskSuccess", "SendTaskFailure"})
_CHANGES = _WRITES | _ANSWERS | {"SendMessage", "StartExecution"}
_LATEST = 5.0
_LATEST_REDELIVERY = 2
_FURTHEST_STEP = 2.0
_DYNAMODB = "com.amazonaws.dynamodb.v20120810#"


@dataclass(frozen=True)
class Faults:
    """How often each fault happens: a share of the calls, by the name of the fault, or by `fault target`."""

    seed: int
    rates: Mapping[str, float] = field(default_factory=dict)

    def drawn(self, fault: str, target: str, number: int) -> Random | None:
        """Return the further choices of a fault if the call with this number meets it, else None."""
        random = Random(f"{self.seed}:{fault}:{target}:{number}")
        rate = self.rates.get(f"{fault} {target}", self.rates.get(fault, 0.0))
        return random if random.random() < rate else None


class FaultyAws:
    """The AWS stand-in with faults.

    Args:
        app: The stand-in.
        faults: How often faults happen.
        functions: Returns its Lambda service.
    """

    def __init__(self, app: WSGIApplication, faults: Faults, functions: Callable[[], Functions | None]) -> None:
        self.on = False
        self._app = app
        self._faults = faults
        self._functions = functions
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._injected: list[dict[str, Any]] = []
        self._lost: dict[str, Response] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer any AWS request."""
        if environ["PATH_INFO"] == PATH:
            return self._control(Request(environ))(environ, start_response)
        response = self._disturbed(environ)
        return response(environ, start_response) if response else self._app(environ, start_response)

    def _control(self, request: Request) -> Response:
        if request.method == "PUT":
            self.on = bool(json.loads(request.get_data())["on"])
        with self._lock:
            body = json.dumps({"on": self.on, "injected": self._injected})
        return Response(body, content_type="application/json")

    def _disturbed(self, environ: WSGIEnvironment) -> Response | None:
        """Return the answer of a call that meets a fault, or None to answer it normally."""
        service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if self.on and operation in _CHANGES and (crashed := self._crash(operation, environ)):
            return crashed
        if service.startswith("DynamoDB_"):
            return self._dynamodb(operation, environ)
        if not self.on:
            return None
        if operation == "ReceiveMessage":
            return self._receive(environ)
        if (operation in _ANSWERS or operation == "SendMessage") and self._meets("repeated", operation):
            return self._twice(environ)
        if found := _INVOKED.fullmatch(environ["PATH_INFO"]):
            return self._invocation(found[1].rpartition(":function:")[2], environ)
        return None

    def _meets(self, fault: str, target: str) -> Random | None:
        with self._lock:
            self._calls[fault, target] += 1
            number = self._calls[fault, target]
        random = self._faults.drawn(fault, target, number)
        # The end of a process is recorded when it happens.
        if random and fault not in ("killed", "crashed"):
            self._record(fault, target)
        return random

    def _record(self, fault: str, target: str) -> None:
        with self._lock:
            self._injected.append({"kind": fault, "target": target, "at": time.time()})

    def _normal(self, environ: WSGIEnvironment, body: bytes) -> Response:
        again = {**environ, "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        again.pop("HTTP_TRANSFER_ENCODING", None)
        return Response.from_app(self._app, again, buffered=True)

    def _crash(self, operation: str, environ: WSGIEnvironment) -> Response | None:
        """Kill the process that makes a call, if the call meets this fault. Return an answer that nobody reads."""
        request_id, functions = request_of(environ.get("HTTP_X_AMZN_TRACE_ID", "")), self._functions()
        caller = functions.run(_handling(functions, request_id)) if functions and request_id else None
        if caller is None or not (random := self._meets("crashed", caller[0])):
            return None
        name, worker = caller
        if random.random() < 0.5:
            self._normal(environ, Request(environ).get_data())
        worker.kill()
        self._record("crashed", f"{name} at {operation}")
        return _refused(500, "InternalServerError", "The caller is gone.")

    # --- DynamoDB ---

    def _dynamodb(self, operation: str, environ: WSGIEnvironment) -> Response | None:
        if operation == "TransactWriteItems":
            return self._transaction(environ)
        if not self.on:
            return None
        if self._meets("throttled", operation):
            return _refused(400, "ProvisionedThroughputExceededException", "Too many calls.")
        if operation in ("BatchGetItem", "BatchWriteItem") and self._meets("partial", operation):
            return self._half(operation, environ)
        if operation in _WRITES and self._meets("lost_answer", operation):
            self._normal(environ, Request(environ).get_data())
            return _refused(500, "InternalServerError", "The answer was lost.")
        return None

    def _transaction(self, environ: WSGIEnvironment) -> Response:
        """Carry out a transaction once for each token, as DynamoDB does."""
        body = Request(environ).get_data()
        parameters = json.loads(body)
        token = parameters.get("ClientRequestToken")
        with self._lock:
            known = self._lost.get(token)
        if known:
            return known
        if self.on:
            if self._meets("throttled", "TransactWriteItems"):
                return _refused(400, "ProvisionedThroughputExceededException", "Too many calls.")
            if self._meets("conflicting", "TransactWriteItems"):
                first, *others = ("TransactionConflict", *["None"] * (len(parameters["TransactItems"]) - 1))
                return _refused(
                    400,
                    "TransactionCanceledException",
                    f"Transaction cancelled, please refer cancellation reasons [{', '.join((first, *others))}]",
                    CancellationReasons=[{"Code": code} for code in (first, *others)],
                )
        answer = self._normal(environ, body)
        if self.on and self._meets("lost_answer", "TransactWriteItems"):
            if token and answer.status_code == 200:
                with self._lock:
                    self._lost[token] = answer
            return _refused(500, "InternalServerError", "The answer was lost.")
        return answer

    def _half(self, operation: str, environ: WSGIEnvironment) -> Response:
        """Carry out the first half of each table's part of a batch."""
        parameters = json.loads(Request(environ).get_data())
        reads = operation == "BatchGetItem"
        now: dict[str, Any] = {}
        later: dict[str, Any] = {}
        for table, part in parameters["RequestItems"].items():
            items = part["Keys"] if reads else part
            middle = (len(items) + 1) // 2
            for half, chosen in ((now, items[:middle]), (later, items[middle:])):
                if chosen:
                    half[table] = {**part, "Keys": chosen} if reads else chosen
        answer = self._normal(environ, json.dumps({**parameters, "RequestItems": now}).encode())
        if answer.status_code != 200:
            return answer
        unprocessed = {"UnprocessedKeys" if reads else "UnprocessedItems": later}
        return Response(
            json.dumps(json.loads(answer.get_data()) | unprocessed), content_type="application/x-amz-json-1.0"
        )

    # --- queues, task tokens and functions ---

    def _twice(self, environ: WSGIEnvironment) -> Response:
        body = Request(environ).get_data()
        first = self._normal(environ, body)
        self._normal(environ, body)
        return first

    def _receive(self, environ: WSGIEnvironment) -> Response:
        """Answer `ReceiveMessage`, and let some of the messages be received again soon."""
        body = Request(environ).get_data()
        answer = self._normal(environ, body)
        for message in json.loads(answer.get_data() or b"{}").get("Messages", ()):
            if random := self._meets("redelivered", "ReceiveMessage"):
                again = {
                    "QueueUrl": json.loads(body)["QueueUrl"],
                    "ReceiptHandle": message["ReceiptHandle"],
                    "VisibilityTimeout": random.randint(0, _LATEST_REDELIVERY),
                }
                change = {**environ, "HTTP_X_AMZ_TARGET": "AmazonSQS.ChangeMessageVisibility"}
                self._normal(change, json.dumps(again).encode())
        return answer

    def _invocation(self, name: str, environ: WSGIEnvironment) -> Response | None:
        functions = self._functions()
        if functions is None:
            return None
        if random := self._meets("killed", name):
            # From 2 ms to 2 s: a handler takes some milliseconds, the poller a minute.
            functions.begin(self._kill(functions, name, 0.002 * 1000 ** random.random()))
        if random := self._meets("stepped", name):
            functions.begin(self._step(functions, name, random.uniform(-_FURTHEST_STEP, _FURTHEST_STEP)))
        if environ.get("HTTP_X_AMZ_INVOCATION_TYPE") != "Event":
            return self._unanswered(functions, name, environ)
        if random := self._meets("late", name):
            event = Request(environ).get_data() or b"{}"
            functions.begin(self._deliver(functions, name, event, random.uniform(0, _LATEST)))
            return Response(status=202)
        return self._twice(environ) if self._meets("repeated", name) else None

    def _unanswered(self, functions: Functions, name: str, environ: WSGIEnvironment) -> Response | None:
        random = self._meets("unanswered", name)
        if random is None:
            return None
        event = Request(environ).get_data() or b"{}"
        if random.random() < 0.5:
            self._normal(environ, event)
        else:
            functions.begin(self._deliver(functions, name, event, 0.0))
        body = json.dumps({"Type": "Service", "Message": "The answer was lost."})
        # Step Functions reads the request id of an error.
        headers = {"X-Amzn-ErrorType": "ServiceException", "X-Amzn-RequestId": str(uuid.uuid4())}
        return Response(body, 500, headers, content_type="application/x-amz-json-1.0")

    async def _kill(self, functions: Functions, name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        if self.on and functions.kill(name):
            self._record("killed", name)

    async def _step(self, functions: Functions, name: str, offset: float) -> None:
        functions.set_clock(name, offset)

    async def _deliver(self, functions: Functions, name: str, event: bytes, delay: float) -> None:
        await asyncio.sleep(delay)
        await functions.send(name, event)


async def _handling(functions: Functions, request_id: str) -> tuple[str, Worker] | None:
    return functions.handling(request_id)


def _refused(status: int, code: str, message: str, **more: Any) -> Response:
    body = json.dumps({"__type": _DYNAMODB + code, "message": message, **more})
    return Response(body, status, content_type="application/x-amz-json-1.0")
