"""How a stack starts: its ports, its Codegen and its template."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from local.aws.process import Deployment, deployed
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.loopback import PortTakenError, listen
from local.stack import Codegen, Ports, Stack
from local.template import TemplateError

SMALL_SYSTEM = Path(__file__).parent / "small_system" / "template.yaml"
LET_IN = {"Authorization": "Bearer let-me-in"}


@pytest.mark.full
def test_a_given_codegen_replaces_the_fake(tmp_path):
    codegen = Codegen("https://codegen.example/v1/", 42, "fake-token")

    with Stack(SMALL_SYSTEM, codegen=codegen, log_dir=tmp_path) as stack, httpx.Client(base_url=stack.api_url) as api:
        environment = api.post("/echo/1", headers=LET_IN, timeout=30).json()["environment"]
        secret = api.get("/count", timeout=30).json()["secret"]

    assert stack.fake is None
    assert (environment["CODEGEN_BASE_URL"], environment["CODEGEN_ORG_ID"]) == ("https://codegen.example/v1/", "42")
    assert secret == "fake-token"
    assert "fake-token" not in repr(codegen)
    assert "fake-token" not in json.dumps(environment)


@pytest.mark.parametrize("which", ["api", "websocket", "codegen", "aws"])
def test_a_port_in_use_is_named_in_the_error(which):
    with listen() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)), Stack(SMALL_SYSTEM, ports=Ports(**{which: port})):
            pass


@pytest.mark.full
def test_a_template_that_the_stack_cannot_run_is_refused(tmp_path):
    machine = "  Machine:\n    Type: AWS::Serverless::StateMachine\n    Properties: {DefinitionUri: nowhere.asl.json}\n"
    (tmp_path / "template.yaml").write_text(SMALL_SYSTEM.read_text() + machine)

    with pytest.raises(TemplateError, match="Machine: no definition at"), Stack(tmp_path / "template.yaml"):
        pass


def test_an_aws_stand_in_that_does_not_start_is_an_error():
    deployment = Deployment(
        *(str(SMALL_SYSTEM), {}, {}, "fake-token"), log_dir=None, python=sys.executable, retry_scale=1, connections=""
    )
    unusable, other = socket.socketpair()

    with unusable, other, pytest.raises(RuntimeError, match="did not start"), deployed(deployment, unusable, print):
        pytest.fail("It started.")


@pytest.mark.full
def test_a_stack_continues_with_the_fake_and_the_tables_of_the_one_before(tmp_path):
    with Stack(SMALL_SYSTEM, log_dir=tmp_path, data_folder=tmp_path / "data") as stack:
        url = f"{stack.codegen.base_url}/v1/organizations/{DEMO_ORG_ID}/agent/run"
        headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
        run = httpx.post(url, json={"prompt": "Hello."}, headers=headers, trust_env=False).json()["id"]
        (table,) = (table.name for table in stack.template.tables.values())
        stack.aws.client("dynamodb").put_item(TableName=table, Item={"pk": {"S": "kept"}})

    with Stack(SMALL_SYSTEM, log_dir=tmp_path, data_folder=tmp_path / "data") as stack:
        assert run in stack.fake.runs
        assert stack.aws.client("dynamodb").get_item(TableName=table, Key={"pk": {"S": "kept"}})["Item"]


@pytest.mark.full
def test_an_aws_stand_in_that_ends_is_reported(tmp_path):
    others = children()  # of a stack that the tests of this worker share
    with Stack(SMALL_SYSTEM, log_dir=tmp_path) as stack:
        (stand_in,) = set(children()) - set(others)
        os.kill(stand_in, signal.SIGKILL)

        with pytest.raises(RuntimeError, match=r"The AWS stand-in has ended\."):
            stack.wait()


def children() -> list[int]:
    """Return the ids of this process's children that run an AWS stand-in."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    processes = [line.split(maxsplit=2) for line in listed.splitlines()]
    return [int(pid) for pid, parent, command in processes if int(parent) == os.getpid() and "local.aws" in command]


def test_the_template_of_this_repository_runs_and_its_routes_need_a_token(tmp_path):
    with Stack(log_dir=tmp_path) as stack, httpx.Client(base_url=stack.api_url, timeout=30) as api:
        missing = api.get("/nowhere")
        unauthorized = api.get("/v1/organizations", headers={"Authorization": "Bearer nobody"})
        organizations = api.get("/v1/organizations", headers={"Authorization": f"Bearer {DEMO_TOKEN}"})

    assert (missing.status_code, missing.json()["code"]) == (404, "route_not_found")
    assert (unauthorized.status_code, unauthorized.json()["code"]) == (401, "unauthorized")
    assert organizations.status_code == 200
