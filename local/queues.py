"""Lambda's event sources on one machine: invoke a function with the messages of an SQS queue.

The queue is moto's. A message that the function reports as failed stays in the queue, and comes again when its
visibility timeout is over. After too many times SQS moves it to the queue for messages that could not be processed.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx

from local.functions.client import FunctionError, InvocationError
from local.template import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from local.functions.client import FunctionsClient
    from local.template import EventSource, Queue

# moto chooses the service by the scope of a signature, and checks none.
_AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential=local/20260101/{REGION}/sqs/aws4_request, SignedHeaders=host, Signature=0"
)

_IDLE_SECONDS = 1.0


async def run(
    sources: Iterable[EventSource],
    http: httpx.AsyncClient,
    functions: FunctionsClient,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Invoke functions with the messages of their queues, until cancelled.

    Args:
        sources: The event sources of the template.
        http: A client of the AWS stand-in.
        functions: Invokes functions.
        sleep: Waits for a number of seconds.
    """
    async with asyncio.TaskGroup() as group:
        for source in sources:
            for _ in range(min(source.concurrency, 2)):
                group.create_task(_consume(source, http, functions, sleep))


async def _consume(
    source: EventSource, http: httpx.AsyncClient, functions: FunctionsClient, sleep: Callable[[float], Awaitable[None]]
) -> None:
    while True:
        try:
            messages = await _receive(source, http)
            if not messages:
                await sleep(_IDLE_SECONDS)
                continue
            answer = json.loads(await functions.invoke(source.function.name, event(source.queue, messages)))
            failed = {each["itemIdentifier"] for each in (answer or {}).get("batchItemFailures", ())}
            for message in messages:
                if message["MessageId"] not in failed:
                    await _call(
                        http, "DeleteMessage", QueueUrl=url(source.queue), ReceiptHandle=message["ReceiptHandle"]
                    )
        except (FunctionError, InvocationError, httpx.HTTPError):
            continue  # The messages come again.


async def _receive(source: EventSource, http: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await _call(
        http,
        "ReceiveMessage",
        QueueUrl=url(source.queue),
        MaxNumberOfMessages=source.batch,
        AttributeNames=["All"],
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


async def _call(http: httpx.AsyncClient, operation: str, **parameters: Any) -> Any:
    headers = {
        "Authorization": _AUTHORIZATION,
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"AmazonSQS.{operation}",
    }
    response = await http.post("/", json=parameters, headers=headers)
    return response.raise_for_status().json() if response.content else {}


def url(queue: Queue) -> str:
    """Return the URL of a queue, as its functions get it."""
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/{queue.name}"


def event(queue: Queue, messages: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the event with which Lambda invokes a function for messages of a queue."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": queue.arn,
                "awsRegion": REGION,
            }
            for message in messages
        ]
    }
