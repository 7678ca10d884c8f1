"""Each function answers its sample event, in a process of its own with exactly the template's environment."""

import json

import pytest

from local.stack import Stack
from tests.support import backend, samples


# The poller first: it works for a minute if there are runs to follow, and other tests start some.
@pytest.mark.parametrize("name", sorted(backend.template().functions, key=lambda name: (name != "PollRuns", name)))
def test_a_function_answers_its_sample(paged: Stack, name: str) -> None:
    event = samples.ready(name, paged)

    answer = paged.aws.client("lambda").invoke(FunctionName=name, Payload=event)

    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    assert samples.succeeded(name, payload), payload
