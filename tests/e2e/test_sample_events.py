"""Each function answers its sample event, in a process of its own with exactly the template's environment."""

import json
from collections.abc import Iterator

import pytest

from local.fake_codegen import FakeCodegen
from local.stack import Stack
from tests.support import backend, samples


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of its own, as the template is by default: no other test's runs keep the poller for a minute."""
    with Stack(fake=FakeCodegen(pace=0, limits={}), parameters={"CodegenLimitFactor": "100"}) as running:
        yield running


# The poller first: it stays a minute with the runs that others start.
@pytest.mark.parametrize("name", sorted(backend.template().functions, key=lambda name: (name != "PollRuns", name)))
def test_a_function_answers_its_sample(stack: Stack, name: str) -> None:
    event = samples.ready(name, stack)

    answer = stack.aws.client("lambda").invoke(FunctionName=name, Payload=event)

    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    assert samples.succeeded(name, payload), payload
