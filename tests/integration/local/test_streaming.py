"""The layer's streaming runtime in a real process, over Lambda's own protocol."""

import json
import shutil
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LAYER = ROOT / "layers" / "codegen"
EVENT = {
    "resource": "/x",
    "path": "/x",
    "httpMethod": "GET",
    "headers": {"Accept": "*/*"},
    "multiValueHeaders": None,
    "queryStringParameters": None,
    "requestContext": {"requestId": "1", "identity": {}},
    "body": None,
    "isBase64Encoded": False,
}
APP = """
import asyncio
from mangum import Mangum

async def app(scope, receive, send):
    async def say(part):
        await send({"type": "http.response.body", "body": part, "more_body": True})

    left = scope["aws.context"].get_remaining_time_in_millis()
    headers = [(b"content-type", b"text/plain"), (b"x-left", str(left).encode())]
BODY

handler = Mangum(app, lifespan="off")
"""


@pytest.fixture
def stream(deploy):
    """Run an app of these lines under the streaming runtime; return its final answer and the parts before."""

    def stream(*lines: str, source: str = APP, events: int = 1, on_part=lambda part: None):
        body = "\n".join(f"    {line}" for line in lines)
        environment = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/stream"}
        function = deploy(source.replace("BODY", body), layers=(LAYER,), environment=environment)
        parts: SimpleQueue[bytes] = SimpleQueue()

        def sink(part: bytes) -> None:
            parts.put(part)
            on_part(part)

        for _ in range(events):
            invocation = function.functions.invoke("Function", json.dumps(EVENT).encode(), sink)
            answer = function.functions.run(invocation)
        return answer, [parts.get() for _ in range(parts.qsize())]

    return stream


def split(parts: list[bytes]) -> tuple[dict[str, Any], bytes]:
    prelude, _, body = b"".join(parts).partition(b"\0" * 8)
    return json.loads(prelude), body


START = 'await send({"type": "http.response.start", "status": 201, "headers": headers})'
END = 'await send({"type": "http.response.body", "body": b"", "more_body": False})'


def test_an_answer_is_a_prelude_and_the_parts_as_they_are_sent(stream) -> None:
    release = threading.Event()
    answer, parts = stream(START, 'await say(b"one")', 'await say(b"two")', END, on_part=lambda _: release.set())
    prelude, body = split(parts)

    assert release.is_set()
    assert (answer.is_error, answer.payload) == (False, b"")
    assert prelude["statusCode"] == 201
    assert prelude["headers"]["content-type"] == "text/plain"
    assert 5_000 < int(prelude["headers"]["x-left"]) <= 10_000
    assert body == b"onetwo"


def test_a_part_arrives_before_the_app_sends_the_next(stream, tmp_path) -> None:
    seen = tmp_path / "seen"
    wait = f"while not __import__('os').path.exists({str(seen)!r}): await asyncio.sleep(0.01)"
    answer, parts = stream(
        *(START, 'await say(b"one")', wait, 'await say(b"two")', END),
        on_part=lambda part: seen.touch() if b"one" in part else None,
    )

    assert not answer.is_error
    assert split(parts)[1] == b"onetwo"


def test_one_process_handles_several_events(stream) -> None:
    _, parts = stream(START, 'await say(b"|")', END, events=3)

    assert b"".join(parts).count(b"|") == 3


def test_each_event_has_a_trace_of_its_own_which_its_calls_of_aws_carry(stream) -> None:
    _, parts = stream(START, "import os", 'await say(os.environ["_X_AMZN_TRACE_ID"].encode())', END, events=2)
    traces = [part for part in parts if part.startswith(b"Root=1-")]

    assert len(set(traces)) == 2


def test_an_error_before_the_first_byte_is_the_answer(stream) -> None:
    answer, parts = stream('raise KeyError("nothing")')

    assert answer.is_error
    assert json.loads(answer.payload)["errorType"] == "KeyError"
    assert parts == []


def test_an_error_after_the_first_byte_is_reported_in_the_trailers(stream) -> None:
    answer, parts = stream(START, 'await say(b"one")', 'raise ValueError("half way")')

    assert split(parts)[1] == b"one"
    assert answer.is_error
    assert json.loads(answer.payload) == {"errorType": "ValueError", "errorMessage": "half way", "stackTrace": []}


@pytest.mark.parametrize("source", ["handler = print", "raise ImportError", "other = 1"])
def test_a_module_without_an_app_fails_to_start(stream, source: str) -> None:
    answer, _ = stream(source=source)

    assert answer.is_error
    assert json.loads(answer.payload)["errorType"] in ("TypeError", "ImportError", "AttributeError")


def test_the_built_layer_has_the_program_beside_its_packages(tmp_path, monkeypatch) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("build", LAYER / "build.py")
    assert spec
    assert spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    monkeypatch.setattr(build, "install", lambda target, _architecture: target.mkdir())
    monkeypatch.setattr(build, "interpreters", lambda: iter(()))
    build.main(str(tmp_path / "python"), "x86_64")

    assert shutil.which("stream", path=str(tmp_path))
    assert (tmp_path / "python" / "codegen_runs" / "live" / "runtime.py").is_file()
