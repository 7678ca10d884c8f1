"""Each function answers its sample event, in a process of its own with exactly the template's environment."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from tests.support import backend, samples


def _functions() -> Iterator[Any]:
    """List all functions: one of each folder always, the others with the full profile.

    The poller is first: it works for a minute if there are runs to follow, and other tests start some.
    """
    functions, folders = backend.template().functions, set[Path]()
    for name in sorted(functions, key=lambda name: (name != "PollRuns", name)):
        folder = functions[name].code_dir
        yield pytest.param(name, marks=[pytest.mark.full] if folder in folders else [])
        folders.add(folder)


@pytest.mark.full
@pytest.mark.parametrize("name", [*_functions()])
def test_a_function_answers_its_sample(paged: Stack, name: str) -> None:
    event = samples.ready(name, paged)

    answer = paged.aws.client("lambda").invoke(FunctionName=name, Payload=event)

    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    assert samples.succeeded(name, payload), payload
