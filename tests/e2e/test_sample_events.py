"""Each function answers its sample event, in a process of its own with exactly the template's environment."""

import json

import pytest

from local.stack import Stack
from tests.support import samples


@pytest.mark.parametrize("name", samples.names())
def test_a_function_answers_its_sample(stack: Stack, name: str) -> None:
    event = samples.ready(name, stack)

    answer = stack.aws.client("lambda").invoke(FunctionName=name, Payload=event)

    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    assert samples.succeeded(name, payload), payload
