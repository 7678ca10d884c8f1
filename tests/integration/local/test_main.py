"""`python -m local`, as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.__main__ import main
from local.loopback import listen
from tests.support.processes import is_running, wait_until

ROOT = Path(__file__).parents[3]
DEMO_AGENTS = ("assistant", "customer_support")
ANY_PORT = {"PORT": "0", "WEBSOCKET_PORT": "0", "CODEGEN_PORT": "0", "AWS_PORT": "0"}


def environment(**variables: str) -> dict[str, str]:
    names = {"CODEGEN_API_TOKEN", "CODEGEN_ORG_ID", "CODEGEN_BASE_URL"}
    return {**{name: value for name, value in os.environ.items() if name not in names}, **ANY_PORT, **variables}


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `python -m local` and yield the process and its first output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local", *arguments],
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


def curl(line: str) -> tuple[int, str]:
    answer = subprocess.run(
        f"{line} -s -w '\\n%{{http_code}}'", shell=True, capture_output=True, text=True, check=True, timeout=60
    )
    body, _, status = answer.stdout.rpartition("\n")
    return int(status), body


def test_the_printed_commands_work_and_sigint_ends_every_process():
    with running(AWS_PROFILE="another") as (process, screen):
        _, runs, multi_run = re.findall(r"^  (curl .*)$", screen, re.MULTILINE)

        assert curl(runs)[0] == 200
        assert curl(multi_run)[0] == 202
        assert all(f'"id":"{agent}"' in curl(runs.replace("/agent/runs", "/agents"))[1] for agent in DEMO_AGENTS)

        started = descendants(process.pid)
        assert len(started) > 2  # the AWS stand-in, and at least two functions
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert not [pid for pid in started if is_running(pid)]


def test_no_process_is_left_when_the_stack_is_killed():
    with running() as (process, screen):
        health, *_ = re.findall(r"^  (curl .*)$", screen, re.MULTILINE)
        curl(health)
        started = descendants(process.pid)
        assert len(started) > 1

        process.kill()

        wait_until(lambda: not any(is_running(pid) for pid in started), seconds=20)


def test_with_a_token_the_real_codegen_is_used_and_the_token_is_never_shown():
    with running(CODEGEN_API_TOKEN="not-a-real-token", CODEGEN_ORG_ID="42") as (process, screen):
        process.terminate()
        rest = process.stdout.read()

        assert process.wait(timeout=20) == 0
        assert "The demo agents were not created: " in screen
        assert "https://api.codegen.com" in screen
        assert "/v1/organizations/42/" in screen
        assert '"Authorization: Bearer $CODEGEN_API_TOKEN"' in screen
        assert "not-a-real-token" not in screen + rest


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


@pytest.mark.parametrize(
    ("variable", "parameter"), [("CODEGEN_TIMEOUT", "CodegenTimeout"), ("CODEGEN_MAX_RETRIES", "CodegenMaxRetries")]
)
def test_a_variable_that_sets_a_parameter_is_checked_against_the_template(environ, capsys, variable, parameter):
    environ.setenv(variable, "3600")

    assert main([]) == 1
    assert parameter in capsys.readouterr().err


def test_the_demo_ends_with_an_answer(environ, capsys):
    assert main(["demo", "--pace", "0", "--candidates", "2"]) == 0

    shown = capsys.readouterr().out
    assert re.search(r"^candidate 2: completed, agent run \d+$", shown, re.MULTILINE)
    assert re.search(r"answer \(synthesis\)", shown)


def test_a_demo_that_fails_prints_the_reason_and_exits_with_1(environ, capsys):
    assert main(["demo", "--pace", "0", "--candidates", "99"]) == 1

    assert capsys.readouterr().err.startswith("The demo failed: the multi-run was refused: 422")


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"CODEGEN_API_TOKEN": "not-a-real-token"}, "set both CODEGEN_API_TOKEN and CODEGEN_ORG_ID"),
        ({"CODEGEN_ORG_ID": "42"}, "set both CODEGEN_API_TOKEN and CODEGEN_ORG_ID"),
        ({"CODEGEN_API_TOKEN": "not-a-real-token", "CODEGEN_ORG_ID": "acme"}, "CODEGEN_ORG_ID must be a number"),
    ],
)
def test_incomplete_settings_for_the_real_codegen_are_refused(environ, variables, problem):
    for name, value in variables.items():
        environ.setenv(name, value)

    with pytest.raises(SystemExit, match=problem):
        main([])
