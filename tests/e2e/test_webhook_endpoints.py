"""Messages to a real receiver, through the queue of the local stack."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.receiver import SECONDS, Receiver
from tests.support.sources import ROOT

PAGE = (ROOT / "docs" / "webhooks.md").read_text("utf-8")


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(first: int) -> Receiver:
        made.append(Receiver(first))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def api(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {stack.codegen.token}"}
    url = f"{stack.api_url}/v1/organizations/{stack.codegen.org_id}"
    with httpx.Client(base_url=url, headers=headers, timeout=SECONDS, trust_env=False) as client:
        yield client


def receive(body: str, headers: dict[str, str], secret: str) -> Any:
    """Verify a message with the code of the documentation."""
    names: dict[str, Any] = {}
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, names)
    return names["receive"](body, headers, secret)


@pytest.mark.full
def test_the_end_of_a_run_reaches_an_endpoint_signed_although_its_first_answer_is_an_error(
    api: httpx.Client, receiver: Callable[..., Receiver]
) -> None:
    server = receiver(503)
    endpoint = api.post("webhook-endpoints", json={"url": server.url, "events": ["run.completed"]}).json()
    prompt = {"prompt": "Say hello.", "metadata": {"fake": {"seconds": 1, "steps": 1}}}
    run = api.post("agent/run", json=prompt).json()

    tries = [server.take()]
    while json.loads(tries[-1][0])["data"]["run_id"] != run["id"]:
        tries = [server.take()]  # the end of another test's run
    while len(tries) < 2:
        body, headers = server.take()
        if headers["webhook-id"] == tries[0][1]["webhook-id"]:
            tries.append((body, headers))

    message = receive(*tries[1], endpoint["secret"])
    assert message["type"] == "run.completed"
    assert message["data"]["link"].endswith(
        f"/organizations/{message['data']['organization_id']}/agent/run/{run['id']}"
    )
    assert tries[0][0] == tries[1][0]
    assert len(tries[1][0]) < 20_000
    with pytest.raises(Exception, match="No matching signature"):
        receive(tries[1][0].replace("completed", "failed"), tries[1][1], endpoint["secret"])
    api.delete(f"webhook-endpoints/{endpoint['id']}")


@pytest.mark.full
def test_a_test_message_is_recorded_with_its_answer_and_sent_again_with_the_same_id(
    api: httpx.Client, receiver: Callable[..., Receiver]
) -> None:
    server = receiver(500)
    endpoint = api.post("webhook-endpoints", json={"url": server.url, "events": ["multi_run.picked"]}).json()
    path = f"webhook-endpoints/{endpoint['id']}"
    (message_id,) = api.post(f"{path}/deliveries", json={}).json()["message_ids"]

    assert server.take()[1]["webhook-id"] == message_id
    assert server.take()[1]["webhook-id"] == message_id
    api.post(f"{path}/deliveries", json={"message_id": message_id})
    assert server.take()[1]["webhook-id"] == message_id
    (delivery,) = api.get(f"{path}/deliveries").json()["items"]
    assert [attempt["status"] for attempt in delivery["attempts"]][:2] == [500, 204]
    api.delete(path)
