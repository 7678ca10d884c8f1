"""The examples that agents and chat were asked for, as they stand (`chat_examples.md`), against the running system.

Replaced is the host. Added are what the examples leave out: the token, and a timeout, since httpx gives up after five
seconds, which an agent may take. The one for a browser cannot work in any: what `docs/chat.md` has in its place is run.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import demo_agents
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack
from tests.support import samples
from tests.support.processes import wait_until
from tests.support.viewers import frames

TEXT = (Path(__file__).parent / "chat_examples.md").read_text("utf-8")
EXAMPLES = {
    title: (language, source)
    for title, language, source in re.findall(r"(?ms)^## ([^\n]+)\n.*?^```(\w+)\n(.*?)^```", TEXT)
}
FRAMES = re.findall(r"(?m)^event: (\w+)\ndata: (.+)$", TEXT)
GUIDE = Path(__file__).parents[2] / "docs" / "chat.md"
NODE = shutil.which("node")


@pytest.fixture(scope="module", autouse=True)
def _agents(http: httpx.Client) -> None:
    for _ in range(2):  # again: they are there
        demo_agents.create(http, DEMO_ORG_ID)


def send(title: str, http: httpx.Client, **parameters: str) -> httpx.Response:
    """Send the request that an example writes down."""
    language, source = EXAMPLES[title]
    assert language == "http"
    head, _, body = source.partition("\n\n")
    (method, path), *headers = [line.split(" ", 1) for line in head.splitlines()]
    return http.request(
        method, path.format(**parameters), headers={name.rstrip(":"): value for name, value in headers}, content=body
    )


def run(title: str, stack: Stack) -> dict[str, Any]:
    """Run a Python example, and return what it has defined."""
    language, source = EXAMPLES[title]
    assert language == "python"
    source = source.replace("http://localhost:8000", stack.api_url)
    client = httpx.Client(headers={"Authorization": f"Bearer {DEMO_TOKEN}"}, timeout=35, trust_env=False)
    namespace: dict[str, Any] = {"httpx": client}
    with client:
        exec(source.replace("import httpx\n", ""), namespace)
    return namespace


def test_every_example_is_run() -> None:
    assert len(EXAMPLES) == len(re.findall(r"(?m)^```\w", TEXT))
    assert list(EXAMPLES) == [
        "List Agents",
        "Get Agent",
        "Delete Agent",
        "Stream Chat (SSE)",
        "Non-Streaming Chat",
        "Python Client",
        "SSE Streaming Client",
        "JavaScript/TypeScript Client",
    ]


def test_list_agents(http: httpx.Client) -> None:
    answer = send("List Agents", http)

    assert answer.status_code == 200
    assert "customer_support" in [agent["id"] for agent in answer.json()["items"]]
    assert all("production" in agent["tags"] for agent in answer.json()["items"])


def test_get_agent_and_delete_agent(http: httpx.Client) -> None:
    agent_id = http.post("/api/agents", json={"name": "Short-lived"}).json()["id"]

    assert send("Get Agent", http, agent_id=agent_id).json()["name"] == "Short-lived"
    assert send("Delete Agent", http, agent_id=agent_id).status_code == 204
    assert send("Get Agent", http, agent_id=agent_id).status_code == 404


def test_stream_chat(http: httpx.Client) -> None:
    answer = send("Stream Chat (SSE)", http)
    told = frames(answer.text)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [name for name, _ in FRAMES] == ["run_started", "content_delta", "run_completed"]
    shown = [frame for frame in told if frame["event"] in dict(FRAMES)]
    assert [frame["event"] for frame in shown] == [name for name, _ in FRAMES]
    for frame, (_, data) in zip(shown, FRAMES, strict=True):
        assert set(re.findall(r'\{"(\w+)"', data)) <= frame["data"].keys()


@pytest.mark.full
def test_non_streaming_chat(http: httpx.Client) -> None:
    answer = send("Non-Streaming Chat", http)

    assert answer.status_code == 200
    assert "Hello!" in answer.json()["response"]
    assert answer.json()["agent_id"] == "customer_support"


def test_python_client(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    namespace = run("Python Client", stack)

    assert "assistant" in [agent["id"] for agent in namespace["agents"]["items"]]
    assert capsys.readouterr().out == namespace["result"]["response"] + "\n" != "None\n"


def test_sse_streaming_client(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    run("SSE Streaming Client", stack)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert "Tell me a story" in "".join(data.get("content", "") for data in said)
    assert said[-2]["status"] == "completed"


@pytest.mark.full
@pytest.mark.skipif(NODE is None, reason="NO NODE: what docs/chat.md has for browsers is not run")
def test_a_browser_can_replace_the_javascript_client(stack: Stack) -> None:
    (source,) = re.findall(r"(?ms)^```js\n(.*?)^```", GUIDE.read_text("utf-8"))
    for said in re.findall(r"'([^'\n]+)'", EXAMPLES["JavaScript/TypeScript Client"][1]):
        assert said in source, "it does not do the same"
    given = f"const api = {json.dumps(stack.api_url)}, token = {json.dumps(DEMO_TOKEN)};\n"
    assert NODE
    done = subprocess.run(
        [NODE, "--input-type=module"], input=given + source, capture_output=True, text=True, check=True, timeout=180
    )

    assert done.stderr == ""
    assert "Hello" in done.stdout
    assert done.stdout.splitlines()[-1] == "Completed"


def test_an_event_source_follows_a_turn_by_ticket(stack: Stack, http: httpx.Client) -> None:
    """The other way for a browser: an EventSource can only GET, and sends no token."""
    turn = http.post("/api/chat", json={"agent_id": "assistant", "message": "Hello"}).json()
    ticket = http.post("/v1/stream-tickets", json={"agent_run_id": turn["run_id"]}).json()["ticket"]
    answer = httpx.get(f"{stack.api_url}{turn['links']['stream']}&ticket={ticket}", timeout=35, trust_env=False)

    assert [frame["event"] for frame in frames(answer.text) if frame["event"] in dict(FRAMES)] == list(dict(FRAMES))


@pytest.mark.full
def test_a_conversation_continues_through_the_gateway_and_a_busy_session_is_refused(
    stack: Stack, http: httpx.Client
) -> None:
    assert stack.fake
    first = http.post("/api/chat", json={"agent_id": "assistant", "message": "Hello!"}).json()
    more = {"agent_id": "assistant", "session_id": first["session_id"]}
    with http.stream(
        "POST", "/api/chat", json={**more, "message": "Wait. [[fake ending=NEVER]]", "stream": True}
    ) as told:
        lines = told.iter_lines()
        assert next(lines).startswith("retry")
        busy = http.post("/api/chat", json={**more, "message": "Are you there?"})
        assert (busy.status_code, busy.json()["code"]) == (409, "session_busy")
        run = stack.fake.runs[first["run_id"]]
        wait_until(lambda: len(run.turns) == 2)
        stack.fake.finish(run.id)
        text = "\n".join(lines).lstrip() + "\n"

    assert frames(text)[-2]["event"] == "run_completed"
    assert http.post("/api/chat", json={**more, "message": "And now?"}).json()["turn"] == 3


def test_the_function_that_streams_answers_its_sample_part_by_part(stack: Stack) -> None:
    answer = stack.aws.client("lambda").invoke_with_response_stream(
        FunctionName="SendChatMessageLive", Payload=json.dumps(samples.read("SendChatMessageLive"))
    )

    parts = [event["PayloadChunk"]["Payload"] for event in answer["EventStream"] if "PayloadChunk" in event]
    prelude, text = b"".join(parts).split(bytes(8), 1)
    assert json.loads(prelude)["statusCode"] == 200
    told = [frame["event"] for frame in frames(text.decode())]
    assert (told[0], told[-2:]) == ("run_started", ["run_completed", "stream_end"])
