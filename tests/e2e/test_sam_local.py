"""What `sam build` made, in real containers: `make sam-test`.

Skipped unless asked for, because it takes minutes and needs a container engine. Each function answers its sample event
under `sam local invoke`, with the environment of events/env.json, against a stack of its own.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from local.bridge import ADDRESS, bridge
from local.fake_codegen import DEMO_TOKEN
from local.stack import Stack
from tests.support import backend, samples
from tests.support.sources import ROOT

BUILT = ROOT / ".aws-sam" / "build"
SAM = ROOT / ".venv-sam" / "bin" / "sam"

pytestmark = pytest.mark.skipif(
    not os.environ.get("SAM_LOCAL"), reason="NOT RUN: sam local needs a container engine; `make sam-test` runs it"
)


@pytest.fixture(scope="module")
def environment(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The variables of events/env.json, at the ports of this stack, which containers reach."""
    variables = json.loads((samples.EVENTS / "env.json").read_text("utf-8"))["Parameters"]
    ports = {"AWS_ENDPOINT_URL": port_of(stack.aws_url), "CODEGEN_BASE_URL": port_of(stack.codegen.base_url)}
    for name, port in ports.items():
        variables[name] = re.sub(r":\d+$", f":{port}", variables[name])
    file = tmp_path_factory.mktemp("sam") / "env.json"
    file.write_text(json.dumps({"Parameters": variables}))
    with ExitStack() as stack_:
        if sys.platform == "linux":
            portal = stack_.enter_context(start_blocking_portal())
            stack_.enter_context(portal.wrap_async_context_manager(bridge(ports.values(), ADDRESS)))
        yield file


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def sam_local(*arguments: str | Path) -> list[str]:
    # SAM looks for its settings beside the template; and it asks a registry for a newer image, also where it has one.
    return [str(SAM), "local", *map(str, arguments), "--config-file", str(ROOT / "samconfig.toml"), "--skip-pull-image"]


def invoke(name: str, event: str, environment: Path, build: Path = BUILT) -> Any:
    """Invoke a function in a container and return what it answers."""
    done = subprocess.run(
        sam_local("invoke", name, "--event", "-", "--template", build / "template.yaml", "--env-vars", environment),
        cwd=ROOT,
        env=os.environ | {"SAM_CLI_TELEMETRY": "0"},
        input=event,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", sorted(backend.template().functions))
def test_a_built_function_answers_its_sample_in_a_container(stack: Stack, environment: Path, name: str) -> None:
    answer = invoke(name, samples.ready(name, stack), environment)

    assert samples.succeeded(name, answer), answer


def test_a_container_runs_the_bytecode_of_the_layer(environment: Path) -> None:
    """The source is changed after it was compiled, and nobody notices."""
    other = BUILT.with_name("changed")  # beside the build, because its template names the functions by relative paths
    shutil.copytree(BUILT, other)
    try:
        source = other / "CodegenLayer" / "python" / "codegen_runs" / "__init__.py"
        source.write_text(re.sub(r'__version__ = ".*"', '__version__ = "from-source"', source.read_text("utf-8")))

        answer = invoke("GetHealth", json.dumps(samples.read("GetHealth")), environment, other)
    finally:
        shutil.rmtree(other)

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["version"] != "from-source"


@pytest.fixture(scope="module")
def gateway(environment: Path) -> Iterator[httpx.Client]:
    """The built API under `sam local start-api`."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        sam_local("start-api", "--env-vars", environment, "--port", str(port), "--warm-containers", "LAZY"),
        cwd=ROOT,
        env=os.environ | {"SAM_CLI_TELEMETRY": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    with process:
        for line in process.stderr:
            if "Running on" in line:
                break
        headers = {"Authorization": f"Bearer {DEMO_TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
            yield client
        process.terminate()  # SAM then removes its containers
        process.communicate(timeout=60)


def test_the_built_api_answers_over_http(gateway: httpx.Client) -> None:
    runs = gateway.get("/v1/organizations/123/agent/runs?limit=2")

    assert runs.status_code == 200
    assert len(runs.json()["items"]) == 2
    assert gateway.get("/health").json()["status"] == "healthy"


def test_the_built_api_asks_the_authorizer(gateway: httpx.Client) -> None:
    assert gateway.get("/v1/users/me").json()["id"] == 789
    # SAM takes the authorizer's "Unauthorized" for a failure, where API Gateway answers 401.
    assert gateway.get("/v1/users/me", headers={"Authorization": "Bearer nobody"}).status_code in (401, 502)
