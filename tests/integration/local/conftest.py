"""Functions whose code is written in the test."""

from __future__ import annotations

import json
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from local.functions.pool import Functions
from local.template import Function


@dataclass
class Deployed:
    """One deployed function. Call it with an event to get whether it failed, and its answer."""

    functions: Functions
    code: Path
    log: Path

    def __call__(self, event: Any = None) -> tuple[bool, Any]:
        answer = self.functions.run(self.functions.invoke("Function", json.dumps(event).encode()))
        return answer.is_error, json.loads(answer.payload)

    def write(self, source: str) -> None:
        """Replace the source of the module `code`."""
        self.code.mkdir(exist_ok=True)
        (self.code / "code.py").write_text(textwrap.dedent(source))


Deploy = Callable[..., Deployed]


def a_function(folder: Path, **properties: Any) -> Function:
    """A function in `folder/code`."""
    defaults = {
        "logical_id": "Function",
        "name": "Function",
        "arn": "arn:aws:lambda:us-east-1:123456789012:function:Function",
        "handler": "code.handler",
        "code_dir": folder / "code",
        "layers": (),
        "environment": {},
        "timeout": 10,
        "memory": 128,
        "runtime": "python3.13",
    }
    return Function(**{**defaults, **properties})


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    """An event loop in another thread."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def deploy(portal: BlockingPortal, tmp_path: Path) -> Iterator[Deploy]:
    """Deploy a function from the source of its module."""
    deployed: list[Deployed] = []

    def deploy(
        source: str = "",
        *,
        max_workers: int = 4,
        spare_workers: int = 0,
        clock: Callable[[], float] = time.monotonic,
        **properties: Any,
    ) -> Deployed:
        async def functions() -> Functions:
            function = a_function(tmp_path, **properties)
            return Functions(
                [function],
                log_dir=tmp_path,
                max_workers=max_workers,
                spare_workers=spare_workers,
                patience=0.1,
                clock=clock,
            )

        function = Deployed(portal.call(functions), tmp_path / "code", tmp_path / "Function.log")
        function.write(source)
        deployed.append(function)
        return function

    yield deploy
    for function in deployed:
        portal.call(function.functions.close)
