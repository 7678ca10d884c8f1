"""`python -m local`, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from local.__main__ import main
from local.data import data
from local.loopback import listen
from tests.support.processes import is_running, wait_until

ROOT = Path(__file__).parents[3]
DEMO_AGENTS = ("assistant", "customer_support")
PATIENCE = 120
ANY_PORT = {"PORT": "0", "WEBSOCKET_PORT": "0", "CODEGEN_PORT": "0", "AWS_PORT": "0"}


REAL = {"CODEGEN_API_TOKEN": "not-a-real-token", "CODEGEN_ORG_ID": "42"}
NO_EXCEPTION = {"NO_PROXY": "", "no_proxy": ""}


def environment(**variables: str) -> dict[str, str]:
    names = {"CODEGEN_API_TOKEN", "CODEGEN_ORG_ID", "CODEGEN_BASE_URL"}
    return {**{name: value for name, value in os.environ.items() if name not in names}, **ANY_PORT, **variables}


@contextmanager
def running(*arguments: str, limit: str = "", **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `python -m local`, perhaps after a `ulimit` command, and yield the process and its first output."""
    process = subprocess.Popen(
        ["sh", "-c", f'{limit} exec "$@"', "sh", sys.executable, "-m", "local", *arguments],
        cwd=ROOT,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        screen = ""
        for line in process.stdout:
            screen += line
            if "Ctrl-C" in line:
                break
        yield process, screen
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def descendants(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found, size = {pid}, 0
    while len(found) > size:
        size = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def curl(line: str, **variables: str) -> tuple[int, str]:
    line += " -s -w '\\n%{http_code}'"
    answer = subprocess.run(
        line, shell=True, env=os.environ | variables, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    body, _, status = answer.stdout.rpartition("\n")
    return int(status), body


@pytest.mark.full
def test_the_printed_commands_work_and_sigint_ends_every_process():
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:1") | NO_EXCEPTION
    with running(AWS_PROFILE="another", **proxies) as (process, screen):
        _, runs, multi_run = re.findall(r"^  (curl .*)$", screen, re.MULTILINE)

        (console,) = re.findall(r"^  console +(\S+)#token=YOUR_TOKEN$", screen, re.MULTILINE)
        assert curl(f"curl --noproxy 127.0.0.1 {console}", **proxies)[0] == 200

        assert curl(runs, **proxies)[0] == 200
        assert curl(multi_run, **proxies)[0] == 202
        agents = curl(runs.replace("/agent/runs", "/agents"), **proxies)[1]
        assert all(f'"id":"{agent}"' in agents for agent in DEMO_AGENTS)

        started = descendants(process.pid)
        assert len(started) > 2  # the AWS stand-in, and at least two functions
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 0
        assert not [pid for pid in started if is_running(pid)]


@pytest.mark.full
def test_no_process_is_left_when_the_stack_is_killed():
    with running() as (process, screen):
        health, *_ = re.findall(r"^  (curl .*)$", screen, re.MULTILINE)
        curl(health)
        started = descendants(process.pid)
        assert len(started) > 1

        process.kill()

        wait_until(lambda: not any(is_running(pid) for pid in started))


@pytest.mark.full
def test_with_a_token_the_real_codegen_is_used_and_the_token_is_never_shown(tmp_path):
    with running(**REAL, XDG_STATE_HOME=str(tmp_path)) as (process, screen):
        process.terminate()
        rest = process.stdout.read()

        assert process.wait(timeout=PATIENCE) == 0
        assert "The demo agents were not created: " in screen
        assert "https://api.codegen.com" in screen
        assert "/v1/organizations/42/" in screen
        assert '"Authorization: Bearer $CODEGEN_API_TOKEN"' in screen
        assert "not-a-real-token" not in screen + rest
        assert "No API token was created for the console" in screen
        assert re.search(r"^  console +\S+/console$", screen, re.MULTILINE)
        assert f"  data             {tmp_path}/codegen-runs/api.codegen.com/42\n" in screen


@pytest.mark.full
def test_a_stack_that_cannot_write_its_data_any_more_stops_with_a_sentence(tmp_path):
    with running("--data", str(tmp_path), limit="ulimit -f 32;") as (process, screen):  # blocks of 512 bytes
        agents = re.search(r"http\S+(?=/agent/runs)", screen)[0] + "/agents"
        bearer = {"Authorization": "Bearer YOUR_TOKEN"}
        with suppress(httpx.TransportError):
            for number in range(100):
                body = {"name": f"Agent {number}", "system_prompt": "x" * 1000}
                httpx.post(agents, json=body, headers=bearer, timeout=PATIENCE, trust_env=False)

        assert process.wait(timeout=PATIENCE) == 1
        assert f"{tmp_path}/tables.journal cannot be written: File too large." in process.stdout.read()


@pytest.fixture
def environ(monkeypatch) -> pytest.MonkeyPatch:
    """An environment without any settings, for `main` in this process."""
    for name in ("CODEGEN_API_TOKEN", "CODEGEN_ORG_ID", "CODEGEN_BASE_URL", "CODEGEN_TIMEOUT", "CODEGEN_MAX_RETRIES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ANY_PORT.items():
        monkeypatch.setenv(name, value)
    terminate = signal.getsignal(signal.SIGTERM)
    yield monkeypatch
    signal.signal(signal.SIGTERM, terminate)


def test_a_port_in_use_is_reported_in_a_sentence(environ, capsys):
    with listen() as taken:
        port = taken.getsockname()[1]
        environ.setenv("PORT", str(port))

        assert main([]) == 1

    assert capsys.readouterr().err.startswith(f"Port {port} of 127.0.0.1 is in use. Choose another port:")


def test_a_data_folder_that_is_in_use_is_reported_in_a_sentence(environ, capsys, tmp_path):
    with data(tmp_path):
        assert main(["--data", str(tmp_path)]) == 1

    assert f"{tmp_path} is in use by another local stack. Stop that one, or name another" in capsys.readouterr().err


def test_a_file_in_the_place_of_the_data_folder_is_reported_in_a_sentence(environ, capsys, tmp_path):
    (tmp_path / "file").write_text("")

    assert main(["--data", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err == f"The local stack cannot run: {tmp_path}/file cannot be used: File exists.\n"


@pytest.mark.full
@pytest.mark.parametrize("name", ["tables.journal", "codegen.journal"])
def test_a_damaged_file_is_reported_in_a_sentence_and_not_overwritten(environ, capsys, tmp_path, name):
    (tmp_path / name).write_text("garbage")

    assert main(["--data", str(tmp_path)]) == 1
    assert f"{tmp_path}/{name} is damaged at byte 0 and was not changed." in capsys.readouterr().err
    assert (tmp_path / name).read_text() == "garbage"


@pytest.mark.full
@pytest.mark.parametrize(
    ("variable", "parameter"), [("CODEGEN_TIMEOUT", "CodegenTimeout"), ("CODEGEN_MAX_RETRIES", "CodegenMaxRetries")]
)
def test_a_variable_that_sets_a_parameter_is_checked_against_the_template(environ, capsys, variable, parameter):
    environ.setenv(variable, "3600")

    assert main([]) == 1
    assert parameter in capsys.readouterr().err


@pytest.mark.full
def test_the_demo_ends_with_an_answer(environ, capsys):
    assert main(["demo", "--pace", "0", "--candidates", "2"]) == 0

    shown = capsys.readouterr().out
    assert re.search(r"^candidate 2: completed, agent run \d+$", shown, re.MULTILINE)
    assert re.search(r"answer \(synthesis\)", shown)


@pytest.mark.full
def test_the_demo_uses_a_running_stack_and_its_multi_run_stays():
    with running(CODEGEN_ORG_ID="42") as (_, screen):
        api = re.search(r"^  API +(\S+)$", screen, re.MULTILINE)[1]
        demo = subprocess.run(
            [sys.executable, "-m", "local", "demo", "--port", api.rpartition(":")[2], "--candidates", "1"],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        (look,) = re.findall(r"^  (curl .*)$", demo.stdout, re.MULTILINE)

        assert "The fake Codegen is used, because CODEGEN_API_TOKEN is not set." in screen
        assert f"  documentation    {api}/docs\n" in screen
        assert demo.stdout.startswith(f"Using the stack of `make run` at {api}\n")
        assert json.loads(curl(look, NO_PROXY="127.0.0.1")[1])["items"][0]["status"] == "completed"


@pytest.mark.full
def test_each_request_is_a_readable_line():
    with running("--verbose") as (process, screen):
        health, *_ = re.findall(r"^  (curl .*)$", screen, re.MULTILINE)
        curl(f"{health}?ticket=secret", NO_PROXY="127.0.0.1")
        process.terminate()
        lines = process.stdout.read().splitlines()

    assert any(re.fullmatch(r"\d\d:\d\d:\d\d GET /health 200 \d+ ms", line) for line in lines)
    assert "secret" not in "".join(lines)
    assert "{" not in "".join(lines), "the functions' logs are in files"


@pytest.mark.full
def test_a_demo_that_fails_prints_the_reason_and_exits_with_1(environ, capsys):
    assert main(["demo", "--pace", "0", "--candidates", "99"]) == 1

    assert capsys.readouterr().err.startswith("The demo failed: the multi-run was refused: 422")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"CODEGEN_API_TOKEN": "not-a-real-token"}, "also set CODEGEN_ORG_ID"),
        ({"CODEGEN_API_TOKEN": "not-a-real-token", "CODEGEN_ORG_ID": "acme"}, "CODEGEN_ORG_ID must be a number"),
        ({**REAL, "CODEGEN_BASE_URL": "api.codegen.com"}, "CODEGEN_BASE_URL must start with http:// or https://"),
        ({**REAL, "CODEGEN_BASE_URL": "http://[bad"}, "CODEGEN_BASE_URL must start with http:// or https://"),
        ({**REAL, "CODEGEN_BASE_URL": "https:///v1"}, "CODEGEN_BASE_URL must start with http:// or https://"),
    ],
)
def test_incomplete_settings_for_the_real_codegen_are_refused(environ, variables, problem):
    for name, value in variables.items():
        environ.setenv(name, value)

    with pytest.raises(SystemExit, match=problem):
        main([])
