"""Secrets in every text that callers and agents can write: where the system keeps and shows them.

`docs/security.md` lists the fields that hold a text as it came. Everywhere else the sweep finds no secret.
"""

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

ORG = f"/v1/organizations/{DEMO_ORG_ID}"
PATIENCE = 180

ALLOWED = {
    "an agent's system prompt": {"AgentsTable", "verbatim"},
    "an agent's description": {"AgentsTable", "verbatim"},
    "a run's prompt": {"verbatim"},
    "a run's metadata": {"verbatim"},
    "a run's result": {"verbatim"},
    "a run's log": {"verbatim"},
}
"""By what a secret was planted in: the tables that keep it, and `verbatim` for the answers that pass it on."""


@dataclass
class Sweep:
    """The planted secrets, and every text in which one must not be."""

    http: httpx.Client
    planted: dict[str, str] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def plant(self, what: str) -> str:
        """Return a text with a secret of its own, in the middle of other text."""
        secret = "ghp" + "_" + secrets.token_hex(18)
        self.planted[what] = secret
        return f"Use {secret} to sign in."

    def send(self, method: str, path: str, *, verbatim: bool = False, **request: Any) -> Any:
        """Send a request and keep its answer."""
        answer = self.http.request(method, path, **request)
        self.texts["verbatim" if verbatim else f"{method} {path}"].append(f"{answer.headers}\n{answer.text}")
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text

    def until_ended(self, path: str) -> Any:
        """Read a resource until it has ended."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.send("GET", path)
            if (found.get("run") or found)["status"] in ("completed", "failed", "cancelled"):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.5)

    def found(self) -> dict[str, set[str]]:
        """Return where each secret was found."""
        places: dict[str, set[str]] = defaultdict(set)
        for what, secret in self.planted.items():
            for place, texts in self.texts.items():
                if any(secret in text for text in texts):
                    places[what].add(place)
        return dict(places)


def single_run(sweep: Sweep, stack: Stack) -> int:
    script = {"result": sweep.plant("a run's result"), "steps": 3}
    body = {
        "prompt": sweep.plant("a run's prompt"),
        "metadata": {"note": sweep.plant("a run's metadata"), "fake": script},
    }
    run_id: int = sweep.send("POST", f"{ORG}/agent/run", json=body, verbatim=True)["id"]
    with connect(stack.websocket_url, additional_headers={"Authorization": f"Bearer {DEMO_TOKEN}"}) as socket:
        socket.send(json.dumps({"action": "subscribe", "run_id": run_id}))
        while True:
            frame = str(socket.recv(timeout=PATIENCE))
            sweep.texts["WebSocket"].append(frame)
            if json.loads(frame)["type"] == "stream.end":
                break
    sweep.until_ended(f"{ORG}/agent/run/{run_id}/events")
    sweep.send("GET", f"{ORG}/agent/run/{run_id}/logs/stream")
    sweep.send("GET", f"{ORG}/agent/run/{run_id}", verbatim=True)
    sweep.send("GET", f"{ORG}/agent/run/{run_id}/logs", verbatim=True)
    for path in (f"run-cards/{run_id}", f"run-cards/{run_id}/logs", "run-cards"):
        sweep.send("GET", f"{ORG}/{path}")
    return run_id


def multi_run(sweep: Sweep) -> None:
    marker = '[[fake result="Done with {}." seconds=1]]'
    body = {
        "prompt": sweep.plant("a multi-run's prompt") + marker.format(sweep.plant("a candidate's result").split()[1]),
        "metadata": {"note": sweep.plant("a multi-run's metadata")},
        "variants": [{"prompt": sweep.plant("a variant's prompt")}, {}],
        "synthesis": {"prompt": sweep.plant("a synthesis prompt")},
        "concurrency": 2,
    }
    made = sweep.send("POST", f"{ORG}/multi-runs", json=body)
    sweep.until_ended(f"{ORG}/multi-runs/{made['id']}")
    sweep.send("GET", f"{ORG}/multi-runs")
    sweep.send("GET", f"{ORG}/multi-runs/{made['id']}/compare")


def chat(sweep: Sweep) -> None:
    agent = {
        "id": f"sweep-{secrets.token_hex(4)}",
        "name": "Sweep",
        "description": sweep.plant("an agent's description"),
        "system_prompt": sweep.plant("an agent's system prompt"),
    }
    sweep.send("POST", f"{ORG}/agents", json=agent, verbatim=True)
    sweep.send("GET", f"{ORG}/agents/{agent['id']}", verbatim=True)
    message = {"agent_id": agent["id"], "message": sweep.plant("a chat message")}
    turn = sweep.send("POST", f"{ORG}/chat", json=message)
    sweep.send("GET", turn["links"]["stream"])


def checkpoints(sweep: Sweep, run_id: int) -> None:
    body = {
        "description": sweep.plant("a checkpoint's description"),
        "tags": [sweep.plant("a checkpoint's tag").split()[1]],
    }
    made = sweep.send("POST", f"{ORG}/agent/run/{run_id}/checkpoints", json=body)
    changes = {"modified_query": sweep.plant("a fork's query"), "system_prompt": sweep.plant("a fork's system prompt")}
    fork = sweep.send("POST", f"{ORG}/checkpoints/{made['id']}/fork", json={"modifications": changes})
    sweep.until_ended(f"{ORG}/agent/run/{fork['agent_run_id']}/events")
    for path in (f"agent/run/{fork['agent_run_id']}/checkpoints", f"checkpoints/{made['id']}/lineage"):
        sweep.send("GET", f"{ORG}/{path}")
    sweep.send("GET", f"{ORG}/agent/run/{run_id}/checkpoints")


def others(sweep: Sweep, run_id: int) -> None:
    star = {"agent_run_id": run_id, "note": sweep.plant("the note of a star")}
    sweep.send("POST", f"{ORG}/starred-runs", json=star)
    sweep.send("GET", f"{ORG}/starred-runs")
    waiting = sweep.send("POST", f"{ORG}/agent/run", json={"prompt": "Wait. [[fake ending=NEVER]]"}, verbatim=True)[
        "id"
    ]
    cancel = {"reason": sweep.plant("the reason of a cancel"), "allow_pr_ban": True}
    sweep.send("POST", f"{ORG}/agent/run/{waiting}/cancel", json=cancel)
    sweep.send("GET", f"{ORG}/agent/run/{waiting}/events")


def refusals(sweep: Sweep) -> None:
    secret = sweep.plant("a refused request").split()[1]
    sweep.send("GET", f"{ORG}/agents/{secret}")
    sweep.send("GET", f"/v1/organizations/{secret}/agents")
    sweep.send("GET", f"{ORG}/multi-runs?cursor={secret}")
    sweep.send("GET", f"{ORG}/run-cards?status={secret}")
    sweep.send("POST", f"{ORG}/multi-runs", json={"prompt": secret, "strategy": secret})
    sweep.send(
        "POST", f"{ORG}/multi-runs", content=f'{{"prompt": "{secret}"', headers={"Content-Type": "application/json"}
    )
    sweep.send("GET", f"{ORG}/multi-runs", headers={"X-Request-Id": secret})
    sweep.send("GET", f"{ORG}/multi-runs", headers={"Authorization": f"Bearer {secret}"})


def stored(stack: Stack) -> Iterator[tuple[str, str]]:
    """Yield the name and the content of every table, log and execution of the state machine."""
    dynamodb, machines = stack.aws.client("dynamodb"), stack.aws.client("stepfunctions")
    for name, table in stack.template.tables.items():
        for page in dynamodb.get_paginator("scan").paginate(TableName=table.name):
            yield name, json.dumps(page["Items"], default=str)
    assert stack.log_dir
    for log in stack.log_dir.glob("*.log"):
        yield f"log of {log.stem}", log.read_text("utf-8", "replace")
    for machine in stack.template.state_machines.values():
        for execution in machines.list_executions(stateMachineArn=machine.arn)["executions"]:
            yield (
                "state machine",
                json.dumps(machines.describe_execution(executionArn=execution["executionArn"]), default=str),
            )


@pytest.mark.full
def test_a_planted_secret_is_only_where_the_rule_allows_it(stack: Stack, http: httpx.Client) -> None:
    sweep = Sweep(http)
    run_id = single_run(sweep, stack)
    multi_run(sweep)
    chat(sweep)
    checkpoints(sweep, run_id)
    others(sweep, run_id)
    refusals(sweep)
    for place, text in stored(stack):
        sweep.texts[place].append(text)

    found = sweep.found()
    assert "verbatim" in found["a run's prompt"], "the sweep finds nothing, wherever it is"
    assert {
        what: places - ALLOWED.get(what, set()) for what, places in found.items() if places - ALLOWED.get(what, set())
    } == {}
